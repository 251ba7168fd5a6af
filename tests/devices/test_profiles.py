import subprocess
import sys
from pathlib import Path

import pytest

from mnascli import resources
from mnascli.devices.device import DeviceInfo
from mnascli.devices.finding import list_devices, open_device, profile_of
from mnascli.devices.profiles import find_profile, list_profiles, load_profile
from mnascli.errors import MnasError, NoDeviceError, UsageError


def write_own(home: Path, name: str, text: str) -> Path:
    path = home / ".config" / "mnas" / "devices" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def phone(serial: str = "S1", model: str = "Pixel 6 Pro") -> DeviceInfo:
    return DeviceInfo(name=serial, kind="adb", serial=serial, state="ready", model=model)


@pytest.mark.parametrize("name", sorted(list_profiles()))
def test_every_shipped_profile_loads_under_its_name(name: str) -> None:
    assert load_profile(name).name == name


def test_the_host_has_a_profile() -> None:
    (host,) = [info for info in list_devices() if info.kind == "host"]
    assert (host.name, host.state, host.profile, host.problem) == ("host", "ready", "host", "")
    assert profile_of("host").measuring.keep < profile_of("host").measuring.sessions


def test_the_users_own_goes_before_the_shipped_one(own_home: Path) -> None:
    write_own(own_home, "host", "{name: host, match: {kind: host}, measuring: {sessions: 4}}")
    assert load_profile("host").measuring.sessions == 4
    assert profile_of("host").measuring.sessions == 4


def test_the_most_exact_match_wins(own_home: Path) -> None:
    write_own(own_home, "x-any", "{name: x-any, match: {kind: adb}}")
    write_own(own_home, "x-six", "{name: x-six, match: {kind: adb, model: 'pixel 6*'}}")
    write_own(own_home, "x-mine", "{name: x-mine, match: {kind: adb, serial: S7}}")
    found = [find_profile(info) for info in (phone(model="Nokia 3310 of one's own"), phone(), phone(serial="S7"))]
    assert [profile.name for profile in found if profile] == ["x-any", "x-six", "x-mine"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{name: p, match: {kind: adb}, thread: 2}", r"thread: unknown key \(did you mean 'threads'\?\)"),
        ("{name: p, match: {kind: adb}, measuring: {sesions: 2}}", r"measuring\.sesions: unknown key"),
        ("{name: p, match: {kind: adb}, threads: many}", r"threads: .*'many'"),
        ("{name: p, match: {kind: usb}}", r"match\.kind: no kind of device 'usb': available: host, adb, ssh"),
        ("{name: p, match: {kind: adb}, cores: []}", "cores: 'auto', or a list"),
        ("{name: p, match: {kind: adb}, cores: [7, 7]}", "cores: 'auto', or a list"),
        ("{name: p, match: {kind: adb}, precision: int4}", "precision: .*'float32' or 'int8'"),
        ("{name: p}", "match: this key is required"),
        ("{name: ../p, match: {kind: adb}}", "name: "),
        ("{name: p: q", "line 1: not valid YAML"),
        ("- p", "a mapping of keys to values was expected"),
    ],
)
def test_a_bad_profile_is_one_line_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        load_profile(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_an_own_profile_bears_its_files_name(own_home: Path) -> None:
    write_own(own_home, "mine", "{name: other, match: {kind: adb}}")
    with pytest.raises(UsageError, match=r"mine\.yaml: name: 'other' must be the file's name 'mine'"):
        load_profile("mine")


def test_a_profile_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"no device profile 'nokia': available: .*host"):
        load_profile("nokia")
    with pytest.raises(UsageError, match=r"nokia\.yaml: cannot be read: No such file"):
        load_profile("nokia.yaml")


def test_a_device_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(NoDeviceError, match="no device 'pixel': available: host"):
        open_device("pixel")


def test_a_profile_for_another_kind_of_device_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("{name: p, match: {kind: adb}}")
    with pytest.raises(UsageError, match="profile 'p' is for devices of kind adb, not for 'host'"):
        open_device("host", load_profile(path))


def test_a_host_profile_with_a_gpu_or_a_missing_core_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("{name: p, match: {kind: host}, accelerator: gpu}")
    with pytest.raises(UsageError, match="accelerator: host runs models on its cpu only"):
        open_device("host", load_profile(path))


def test_importing_devices_is_light() -> None:
    heavy = ("numpy", "pydantic", "torch", "subprocess")
    code = f"import sys, mnascli.devices; print([name for name in {heavy} if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_resources_come_from_the_wheel_or_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "mnascli"
    (tmp_path / "devices").mkdir()
    package.mkdir()
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resources.folder("devices") == tmp_path / "devices"
    (package / "_devices").mkdir()
    assert resources.folder("devices") == package / "_devices"
    with pytest.raises(MnasError, match=r"the folder 'templates' .* install mnas again"):
        resources.folder("templates")
