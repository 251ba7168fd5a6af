"""A kind of device is a module with a BACKEND and a line in the table: all else follows."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from test_cli import answer, mnas

from mnascli.devices import backends
from mnascli.devices.backends import Backend, backend
from mnascli.devices.device import Core, DeviceInfo, Setup
from mnascli.devices.finding import list_devices
from mnascli.devices.profiles import Profile
from mnascli.errors import UsageError
from stand_ins.scripted_device import ScriptedDevice


def _open(info: DeviceInfo, profile: Profile) -> ScriptedDevice:
    device = ScriptedDevice(serial=info.serial)
    device.name, device.kind, device.setup = info.name, "lamp", Setup(cores=(0,), threads=profile.threads)
    device.ms_of = lambda content: len(content) / 1e5
    return device


BACKEND = Backend(
    list=lambda: [DeviceInfo(name="desk-lamp", kind="lamp", serial="L1", state="ready", model="Lamp")],
    open=_open,
    set_up=lambda info, program, reference: {"bulb": "warm white"},
    cores=lambda info: [Core(0), Core(1)],
    limited_room=True,
)


@pytest.fixture
def lamp(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = ModuleType("lamp")
    module.BACKEND = BACKEND  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lamp", module)
    monkeypatch.setitem(backends.KINDS, "lamp", "lamp")
    backend.cache_clear()
    yield
    backend.cache_clear()


def test_a_new_kind_is_listed_set_up_profiled_and_measured(lamp: None, tmp_path: Path) -> None:
    assert [info.kind for info in list_devices()] == ["host", "lamp"]
    listed: Any = answer("devices", "list")
    assert listed["devices"][1]["name"] == "desk-lamp" and listed["devices"][1]["state"] == "ready"
    assert answer("devices", "setup", "desk-lamp")["bulb"] == "warm white"
    assert "there is no core 7 (cores: 0, 1)" in mnas("devices", "add", "mine", "--device", "L1", "--cores", "7").stderr
    added: Any = answer("devices", "add", "mine", "--device", "desk-lamp", "--cores", "1")
    assert added["values"]["match"] == {"kind": "lamp", "model": "*", "soc": "*", "serial": "L1"}
    measured: Any = answer("benchmark", "mnasnet-small", "--size", 32, "--device", "desk-lamp")
    assert measured["results"][0]["device"] == "desk-lamp" and measured["results"][0]["median_ms"] > 0
    refused = mnas("devices", "add", "far", "--address", "lamp@desk")
    assert refused.returncode != 0


def test_only_kinds_of_the_table_are_opened(lamp: None) -> None:
    assert backend("lamp") is BACKEND
    with pytest.raises(UsageError, match="no kind of device 'candle': available: host, adb, ssh, lamp"):
        backend("candle")
