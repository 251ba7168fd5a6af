"""The stand-in phone is what the adb tests stand on: what it does, seen through the real adb server and adbutils."""

from pathlib import Path

import adbutils
import pytest

from mnascli import tflite
from mnascli.space import Architecture
from stand_ins.phone import AdbServer, StandInPhone, binary


@pytest.fixture
def device(adb_server: AdbServer, phone: StandInPhone) -> adbutils.AdbDevice:
    return adb_server.client.device(serial=phone.address)


def test_commands_have_output_and_exit_code(device: adbutils.AdbDevice) -> None:
    result = device.shell2("getprop ro.product.model; cat /sys/devices/system/cpu/present >&2; exit 3", v2=True)
    assert (result.stdout, result.stderr, result.returncode) == ("Pixel 6\n", "0-7\n", 3)


def test_files_come_back_as_they_were_sent(device: adbutils.AdbDevice, phone: StandInPhone, tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000
    device.sync.push(content, "/data/local/tmp/file", mode=0o644, check=True)
    assert phone.files() == ["file"]
    assert device.sync.read_bytes("/data/local/tmp/file") == content
    phone.set_free(1000)
    with pytest.raises(adbutils.AdbError, match="FAIL"):
        device.sync.push(content, "/data/local/tmp/other", check=True)


@pytest.mark.parametrize("flavour", ["tflite", "litert"])
def test_benchmark_model_runs_the_model_on_its_core(device: adbutils.AdbDevice, tmp_path: Path, flavour: str) -> None:
    model = tflite.write(Architecture.parse("ds_r1_k3_s1_c8,head_c16,net_i16_o10"), tmp_path / "model.tflite")
    device.sync.push(model, "/data/local/tmp/m.tflite", mode=0o644)
    device.sync.push(binary(tmp_path / "program", flavour), "/data/local/tmp/program", mode=0o755)
    run = "/data/local/tmp/program --graph=/data/local/tmp/m.tflite --num_runs=5 --min_secs=0 --warmup_min_secs=0"
    output = device.shell2(f"taskset 80 {run}", v2=True).output
    assert "count=5 first=" in output
    assert ("Inference timings in us" in output) == (flavour == "tflite")
    assert ("ms (5 runs)" in output) == (flavour == "litert")
    assert "failed to set" in device.shell2(f"taskset 100 {run}", v2=True).output


def test_a_cable_that_comes_out_cuts_the_command_short(
    device: adbutils.AdbDevice, adb_server: AdbServer, phone: StandInPhone
) -> None:
    phone.unplug_during_next_run(after_s=0.1)
    with pytest.raises(EOFError):
        device.shell2("echo --graph; sleep 60; echo never", v2=True)
    assert [one.state for one in adb_server.client.list() if one.serial == phone.address] != ["device"]
    adb_server.attach(phone)
    assert device.shell2("echo back", v2=True).output == "back\n"


def test_a_phone_that_was_not_allowed_is_unauthorized(adb_server: AdbServer, tmp_path: Path) -> None:
    phone = StandInPhone(tmp_path / "phone")
    phone.authorized = False
    adb_server.attach(phone)
    assert [one.state for one in adb_server.client.list() if one.serial == phone.address] == ["unauthorized"]
    phone.close()
