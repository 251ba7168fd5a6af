"""Which of the named devices are alike, and what their column is called."""

from dataclasses import replace
from pathlib import Path

import pytest

from mnascli.devices import finding, grouping
from mnascli.devices.backends import backend
from mnascli.devices.device import DeviceInfo
from mnascli.devices.grouping import Known
from mnascli.devices.pool import Pool
from mnascli.errors import NoDeviceError, UsageError
from stand_ins.scripted_device import ScriptedDevice

PROFILES = {
    "pixel": "name: pixel\nmatch: {kind: adb, model: 'Pixel*'}\n",
    "android": "name: android\nmatch: {kind: adb}\n",
}


def phone(serial: str, model: str, profile: str, state: str = "ready") -> DeviceInfo:
    name = f"{model.lower().replace(' ', '-')}-{serial.lower()}"
    return DeviceInfo(name=name, kind="adb", serial=serial, state=state, model=model, profile=profile)


PIXELS = [phone("P1", "Pixel 6", "pixel"), phone("P2", "Pixel 6", "pixel"), phone("P3", "Pixel 8", "pixel")]
OTHERS = [phone("X1", "One", "android"), phone("X2", "Two", "android"), phone("X3", "Two", "android")]


class Attached:
    """What is attached, and which was opened and closed."""

    def __init__(self, infos: list[DeviceInfo]) -> None:
        self.infos = infos
        self.opened: list[ScriptedDevice] = []
        self.fails: set[str] = set()
        self.listings = 0

    def list(self) -> list[DeviceInfo]:
        self.listings += 1
        return self.infos

    def open(self, info: DeviceInfo, profile: object) -> ScriptedDevice:
        if info.serial in self.fails:
            raise NoDeviceError(f"{info.serial} cannot be used")
        device = ScriptedDevice(serial=info.serial)
        device.name = info.name
        self.opened.append(device)
        return device


@pytest.fixture
def attached(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Attached:
    """In place of the kinds of devices: the host by its name, phones by looking for them."""
    folder = own_home / ".config" / "mnas" / "devices"
    folder.mkdir(parents=True)
    for name, text in PROFILES.items():
        (folder / f"{name}.yaml").write_text(text)
    attached = Attached([*PIXELS, *OTHERS])
    host = replace(backend("host"), open=attached.open)
    rows = {"host": host, "adb": replace(backend("adb"), list=attached.list, open=attached.open)}
    monkeypatch.setattr(finding, "KINDS", rows)
    monkeypatch.setattr(finding, "backend", rows.__getitem__)
    return attached


def serials(pools: list[Pool]) -> dict[str, list[str]]:
    return {pool.name: [member.device.serial for member in pool.members] for pool in pools}


def test_like_devices_form_a_pool_and_others_a_column_of_their_own(attached: Attached) -> None:
    pools = grouping.open_pools(["P1", "host", "P2", "pixel-8-p3"], [])
    assert serials(pools) == {"pixel": ["P1", "P2"], "host": ["host"], "pixel-8-p3": ["P3"]}
    assert pools[0].profile.name == "pixel" and [one.asked for one in pools[0].members] == ["P1", "P2"]


def test_a_profile_stands_for_all_that_fit_it(attached: Attached) -> None:
    attached.infos.append(phone("P4", "Pixel 6", "pixel", state="unauthorized"))
    assert serials(grouping.open_pools(["pixel"], [])) == {"pixel": ["P1", "P2"], "pixel-8-p3": ["P3"]}


def test_two_models_of_one_profile_are_two_columns(attached: Attached) -> None:
    attached.infos.append(phone("X4", "One", "android"))
    assert serials(grouping.open_pools(["android"], [])) == {"android": ["X1", "X4"], "android-two": ["X2", "X3"]}


def test_a_pool_keeps_its_name_when_a_twin_is_missing(attached: Attached) -> None:
    known = [Known("pixel", f"pixel-6-{n}", f"P{n}", f"P{n}") for n in (1, 2)]
    attached.infos.remove(PIXELS[1])
    pools = grouping.open_pools(["P1", "P2"], known)
    assert serials(pools) == {"pixel": ["P1", "P2"]} and [one.away for one in pools[0].members] == [False, True]
    missing = pools[0].members[1]
    assert not missing.is_back()
    with pytest.raises(NoDeviceError, match="no device 'P2'"):
        grouping.open_pools(["P1", "P2"], [])
    attached.infos.append(PIXELS[1])
    assert missing.is_back() and missing.device.fingerprint == attached.opened[-1].fingerprint
    attached.infos.remove(PIXELS[1])
    attached.infos.remove(PIXELS[0])
    with pytest.raises(NoDeviceError, match="no device 'P2'"):
        grouping.open_pools(["P1", "P2", "host"], [*known, Known("host", "host", "host", "host")])


def test_what_cannot_be_is_said_and_leaves_nothing_open(attached: Attached, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="device 'pixel-6-p1' is named twice"):
        grouping.open_pools(["P1", "pixel-6-p1"], [])
    with pytest.raises(NoDeviceError, match="no device 'tablet'"):
        grouping.open_pools(["tablet"], [])
    attached.infos.append(phone("Q1", "Quaint", ""))
    with monkeypatch.context() as without, pytest.raises(UsageError, match="no profile matches device 'quaint-q1'"):
        without.setattr(finding, "find_profile", lambda info: None)
        grouping.open_pools(["Q1"], [])
    attached.fails = {"P2"}
    closed: list[str] = []
    monkeypatch.setattr(ScriptedDevice, "close", lambda device: closed.append(device.serial))
    with pytest.raises(NoDeviceError, match="P2 cannot be used"):
        grouping.open_pools(["host", "P1", "P2"], [])
    assert closed == ["host", "P1"]


def test_however_many_are_named_they_are_looked_for_once(attached: Attached) -> None:
    """Looking for phones asks each of them: N times N answers would be hours for a shelf of them."""
    attached.infos += [phone(f"S{n}", "Shelf", "android") for n in range(40)]
    pools = grouping.open_pools(["host", "pixel", *(f"S{n}" for n in range(40))], [])
    assert [len(pool.members) for pool in pools] == [1, 2, 1, 40] and attached.listings == 1


def test_a_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="no kind of device 'usb': available: host, adb, ssh"):
        backend("usb")
