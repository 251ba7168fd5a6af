from pathlib import Path

from mnascli.user_dirs import cache_home, config_home


def test_own_variable_then_xdg_then_home(monkeypatch, own_home, tmp_path):
    assert cache_home() == own_home / ".cache" / "mnas"
    assert config_home() == own_home / ".config" / "mnas"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_home() == own_home / ".cache" / "mnas"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_home() == tmp_path / "mnas"
    monkeypatch.setenv("MNAS_CACHE_HOME", "~/own")
    assert cache_home() == Path(own_home / "own")
