"""Every test has a home of its own: nothing of the user's is read or written, no adb server of the user's is asked."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples every time, however slow the machine is today.
settings.register_profile("mnas", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mnas")

sys.path += [str(Path(__file__).parent / folder) for folder in ("engine", "devices")]


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(("MNAS_", "XDG_", "ADB", "ANDROID_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MNAS_ADB", "off")
    return home


@pytest.fixture(autouse=True)
def denormal_numbers() -> Iterator[None]:
    """Training turns them off for the whole process: the next test gets them back."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)
