"""Android phones through the real adb server and adbutils, down to the stand-in phone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from device_conformance import QUICK, DeviceConformance, write_slow_model

from mnascli import tflite
from mnascli.devices.adb.device import AdbDevice
from mnascli.devices.adb.setup import set_up_phone
from mnascli.devices.device import DeviceLostError
from mnascli.devices.finding import find_device, list_devices, open_device
from mnascli.errors import NoDeviceError, UsageError
from mnascli.space import Architecture
from stand_ins.phone import AdbServer, StandInPhone, binary

ARCHITECTURE = "ds_r1_k3_s1_c8,head_c16,net_i16_o10"
SCRIPTED = {**QUICK, "runs": 20}


def set_up(phone: StandInPhone, folder: Path, flavour: str = "tflite") -> None:
    set_up_phone(find_device(phone.address), binary(folder / f"benchmark_model_{flavour}", flavour))


@pytest.fixture
def device(phone: StandInPhone, tmp_path: Path) -> Iterator[AdbDevice]:
    """On a phone that says how long a model takes, without running it."""
    set_up(phone, tmp_path)
    phone.scripted(ms=5.0)
    device = open_device(phone.address)
    assert isinstance(device, AdbDevice)
    yield device
    device.close()
    assert phone.files() == []


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tflite.write(Architecture.parse(ARCHITECTURE), tmp_path / "model.tflite")


class TestAdb(DeviceConformance):
    @pytest.fixture
    def device(self, phone: StandInPhone, tmp_path: Path) -> Iterator[AdbDevice]:
        set_up(phone, tmp_path)
        device = open_device(phone.address)
        assert isinstance(device, AdbDevice)
        yield device
        device.close()
        assert phone.files() == []

    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        return tflite.write(Architecture.parse(ARCHITECTURE), tmp_path / "model.tflite")

    @pytest.fixture
    def slow_model(self, tmp_path: Path) -> Path:
        return write_slow_model(tmp_path)


def test_a_session_of_the_other_flavour(phone: StandInPhone, model: Path, tmp_path: Path) -> None:
    set_up(phone, tmp_path, "litert")
    device = open_device(phone.address)
    session = device.run(model, **QUICK)
    device.close()
    assert session.runs >= 10 and session.before.runtime.startswith("benchmark_model litert ")


def test_conditions_are_the_phones(device: AdbDevice, phone: StandInPhone, model: Path) -> None:
    phone.heat(status=2, temperature_c=41.5, slow=1.5)
    before = device.run(model, **SCRIPTED).before
    assert (before.cores, before.frequency_mhz, before.temperature_c, before.thermal_status) == ((7,), 2802.0, 41.5, 2)
    assert (before.load, before.screen_on) == (0.52, False)
    assert before.os_build == "google/oriole/oriole:14/AP2A/1:user/release-keys"


def test_a_cable_out_in_mid_run_is_a_lost_device_and_the_next_call_works(
    device: AdbDevice, phone: StandInPhone, model: Path
) -> None:
    phone.fail("hang")
    phone.unplug_during_next_run(after_s=0.1)
    with pytest.raises(DeviceLostError, match="pixel-6-din1 went away"):
        device.run(model, **SCRIPTED)
    with pytest.raises(DeviceLostError, match=r"pixel-6-din1 is (not attached|offline): plug it in"):
        device.run(model, **SCRIPTED)
    phone.mend()
    phone.plug()
    assert device.run(model, **SCRIPTED).median_ms == pytest.approx(5.0)


def test_names_are_unique_and_a_name_for_two_names_both(
    phone: StandInPhone, adb_server: AdbServer, tmp_path: Path
) -> None:
    twin = StandInPhone(tmp_path / "twin", serial="STANDIN2")
    adb_server.attach(twin)
    assert [info.name for info in list_devices()] == ["host", "pixel-6-din1", "pixel-6-din2"]
    assert find_device("pixel-6-din2").serial == find_device(twin.address).serial == twin.address
    for name in ("pixel-6", "Pixel 6", "pixel"):
        with pytest.raises(UsageError, match=f"'{name}' may mean pixel-6-din1 .* and pixel-6-din2 .*: name one"):
            find_device(name)
    adb_server.detach(twin)
    assert find_device("pixel").name == "pixel-6-din1"


def test_a_phone_that_is_not_set_up_says_so(phone: StandInPhone) -> None:
    info = find_device("pixel-6")
    assert (info.state, info.problem) == (
        "not set up",
        "it has no benchmark_model yet: run 'mnas devices setup pixel-6-din1'",
    )
    with pytest.raises(NoDeviceError, match=r"pixel-6-din1 cannot be used .*run 'mnas devices setup pixel-6-din1'"):
        open_device("pixel-6")
