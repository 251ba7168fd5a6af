"""What goes wrong with phones, each once, on a phone that says how long a model takes without running it."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from device_conformance import QUICK

from mnascli import tflite
from mnascli.devices.adb import benchmark_binary
from mnascli.devices.adb.device import AdbDevice
from mnascli.devices.adb.setup import set_up_phone
from mnascli.devices.device import DeviceError, DeviceLostError, ModelError
from mnascli.devices.discipline import Cooling, Discipline
from mnascli.devices.finding import find_device, open_device
from mnascli.devices.measuring import Latency, measure
from mnascli.errors import NoDeviceError, UsageError
from mnascli.space import Architecture
from stand_ins.phone import AdbServer, StandInPhone, binary


@pytest.fixture
def device(phone: StandInPhone, tmp_path: Path) -> Iterator[AdbDevice]:
    program = binary(tmp_path / "benchmark_model")
    benchmark_binary.remember(phone.serial, program.read_bytes(), "tflite", "script", str(program))
    phone.scripted(ms=5.0)
    device = AdbDevice(find_device(phone.address))
    yield device
    phone.plug()
    device.close()
    assert phone.files() == []


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tflite.write(Architecture.parse("ds_r1_k3_s1_c8,head_c16,net_i16_o10"), tmp_path / "model.tflite")


def replug(phone: StandInPhone) -> None:
    phone.unplug()
    phone.plug()


def test_unauthorized_says_what_to_do_without_a_retry(phone: StandInPhone, adb_server: AdbServer) -> None:
    phone.authorized = False
    phone.unplug()
    adb_server.attach(phone)
    info = find_device(phone.address)
    assert (info.name, info.state) == (phone.address, "unauthorized")
    assert info.problem.startswith("unlock it and accept the dialog 'Allow USB debugging?'")
    began = time.monotonic()
    with pytest.raises(NoDeviceError, match=r"cannot be used \(unauthorized\): unlock it and accept the dialog"):
        open_device(phone.address)
    assert time.monotonic() - began < 2


def test_a_phone_gone_while_it_is_not_used(device: AdbDevice, phone: StandInPhone, model: Path) -> None:
    device.run(model, **QUICK)
    replug(phone)
    with pytest.raises(DeviceLostError):
        device.run(model, **QUICK)
    assert device.run(model, **QUICK).median_ms == pytest.approx(5.0)


def test_another_phone_under_its_address_is_not_taken_for_it(
    device: AdbDevice, phone: StandInPhone, model: Path
) -> None:
    device.run(model, **QUICK)
    phone.unplug()
    props = phone.state / "props"
    own = props.read_text()
    props.write_text(own.replace("AP2A/1", "AP2A/2"))
    phone.plug()
    with pytest.raises(DeviceLostError):
        device.run(model, **QUICK)
    with pytest.raises(DeviceError, match="is not the same phone or Android as before"):
        device.run(model, **QUICK)
    props.write_text(own)


def test_an_adb_server_that_is_ended_is_started_again(
    device: AdbDevice, phone: StandInPhone, adb_server: AdbServer, model: Path
) -> None:
    device.run(model, **QUICK)
    adb_server.stop()
    # As the next `adb` of a user would, but with nothing of this machine's USB.
    adb_server.start()
    with pytest.raises(DeviceLostError, match="went away"):
        device.run(model, **QUICK)
    assert device.run(model, **QUICK).median_ms == pytest.approx(5.0)


def test_no_room_is_said_and_forgotten_when_there_is_some(device: AdbDevice, phone: StandInPhone, model: Path) -> None:
    device.run(model, **QUICK)
    device.release(model)
    phone.set_free(2048)
    for attempt in (lambda: device.run(model, **QUICK), device.probe):
        with pytest.raises(
            DeviceLostError, match=r"do not fit on the phone: free some space \(0\.00205 MB are free"
        ) as caught:
            attempt()
        assert caught.value.exit_code == 3
    phone.set_free(1 << 30)
    assert device.run(model, **QUICK).runs >= 10


def test_room_that_ends_in_the_middle_of_a_push(device: AdbDevice, phone: StandInPhone, model: Path) -> None:
    device.run(model, **QUICK)
    device.release(model)
    # `df` says that there is room, the transfer finds none.
    df = phone.folder / "bin" / "df"
    text = df.read_text()
    df.write_text('#!/bin/sh\necho "f 1 1 9999999 1% /data"\n')
    phone.set_free(100)
    with pytest.raises(DeviceError, match=r"cannot write /data/local/tmp/.*FAIL"):
        device.run(model, **QUICK)
    df.write_text(text)
    phone.set_free(1 << 30)
    assert device.run(model, **QUICK).runs >= 10


def test_a_folder_that_was_removed_is_made_again(device: AdbDevice, phone: StandInPhone, model: Path) -> None:
    device.run(model, **QUICK)
    subprocess.run(["rm", "-rf", str(phone.storage / device._folder.split("/")[-1])], check=True)
    with pytest.raises(DeviceLostError, match="is gone from the phone"):
        device.run(model, **QUICK)
    assert device.run(model, **QUICK).runs >= 10


def test_a_core_unplugged_before_the_run_gives_way_to_the_next_big_one(
    device: AdbDevice, phone: StandInPhone, model: Path
) -> None:
    assert device.run(model, **QUICK).before.cores == device.setup.cores == (7,)
    phone.set_online([0, 1, 2, 3, 4, 5, 6])
    assert device.run(model, **QUICK).before.cores == device.setup.cores == (6,)


def test_a_core_unplugged_in_mid_run_discards_the_run(device: AdbDevice, phone: StandInPhone, model: Path) -> None:
    device.run(model, **QUICK)
    script = phone.folder / "bin" / "timeout"
    script.write_text(
        f'#!/bin/sh\necho 0-3 > "{phone.root}/sys/devices/system/cpu/online"; echo f > "$STAND_IN/online"; rm "$0"\n'
        'shift 3; exec "$@"\n'
    )
    script.chmod(0o755)
    assert device.run(model, **QUICK).before.cores == device.setup.cores == (3,)


def test_a_core_of_the_profile_that_is_unplugged_is_waited_for(
    device: AdbDevice, phone: StandInPhone, model: Path
) -> None:
    fixed = AdbDevice(find_device(phone.address), cores=[7])
    phone.set_online([0, 1])
    for attempt in (lambda: fixed.run(model, **QUICK), fixed.probe):
        with pytest.raises(DeviceLostError, match="core 7 is offline: let the phone cool, or change 'cores'"):
            attempt()
    phone.set_online(range(8))
    assert fixed.run(model, **QUICK).before.cores == (7,)
    fixed.close()


def test_two_cores_are_both_kept(device: AdbDevice, phone: StandInPhone, model: Path) -> None:
    two = AdbDevice(find_device(phone.address), threads=2)
    assert two.run(model, **QUICK).before.cores == two.setup.cores == (7, 6)
    two.close()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("crash", r"model\.tflite: does not run on pixel-6-din1: benchmark_model was ended by SIGSEGV"),
        ("abort", "was ended by SIGABRT"),
        ("partial_delegation", "TfLiteXNNPackDelegate takes only 60 of its 106 nodes"),
        ("hang", r"not done within 1 s"),
    ],
)
def test_what_is_the_models_fault(
    device: AdbDevice, phone: StandInPhone, model: Path, fault: str, message: str
) -> None:
    phone.fail(fault, times=1)
    with pytest.raises(ModelError, match=message) as caught:
        device.run(model, **{**QUICK, "timeout_s": 1.0})
    assert "\n" not in str(caught.value) and "INFO" in caught.value.log
    assert device.run(model, **QUICK).runs >= 10
    assert phone.processes() == 0


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("ignored_flags", "benchmark_model ignored --num_threads=1: bring another one with 'mnas devices setup'"),
        ("cannot_link", "benchmark_model does not start .*CANNOT LINK EXECUTABLE.*: run 'mnas devices setup' again"),
    ],
)
def test_what_is_the_programs_fault(
    device: AdbDevice, phone: StandInPhone, model: Path, fault: str, message: str
) -> None:
    phone.fail(fault, times=1)
    with pytest.raises(DeviceError, match=message) as caught:
        device.run(model, **QUICK)
    assert not isinstance(caught.value, ModelError | DeviceLostError)


def test_a_crash_is_tried_once_more(device: AdbDevice, phone: StandInPhone, model: Path) -> None:
    phone.fail("crash", times=1)
    (latency,) = measure(device, [model], Discipline(sessions=1, keep=1, min_s=0.01, warmup_min_s=0.0))
    assert isinstance(latency, Latency) and latency.median_ms == pytest.approx(5.0)
    phone.fail("crash")
    (failure,) = measure(device, [model], Discipline(sessions=1, keep=1, min_s=0.01, warmup_min_s=0.0))
    assert isinstance(failure, ModelError)


def test_a_phone_too_warm_cools_first(device: AdbDevice, phone: StandInPhone, model: Path) -> None:
    phone.heat(status=0, temperature_c=39.0)
    cooling = Cooling(max_temperature_c=35, pause_s=7)
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        phone.heat(status=0, temperature_c=30.0)

    discipline = Discipline(sessions=1, keep=1, min_s=0.01, warmup_min_s=0.0, cooling=cooling)
    (latency,) = measure(device, [model], discipline, sleep=sleep)
    assert isinstance(latency, Latency)
    assert slept == [7] and latency.sessions[0].before.temperature_c == 30.0


def test_no_process_is_left_when_the_cable_is_out_for_good(device: AdbDevice, phone: StandInPhone, model: Path) -> None:
    phone.fail("hang", times=1)
    phone.unplug_during_next_run(after_s=1.0)
    with pytest.raises(DeviceLostError):
        device.run(model, **{**QUICK, "timeout_s": 2.0})
    end = time.monotonic() + 10
    while phone.processes() and time.monotonic() < end:
        time.sleep(0.1)
    assert phone.processes() == 0


def test_what_a_killed_process_left_is_removed_by_the_next(device: AdbDevice, phone: StandInPhone, model: Path) -> None:
    parts = device._folder.split("/")[-1].split("-")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stray, other = (phone.storage / "-".join([*parts[:2], str(pid), "0"]) for pid in (ended.pid, os.getppid()))
    for folder in (stray, other):
        folder.mkdir()
        (folder / "model.tflite").write_bytes(b"left")
    device.run(model, **QUICK)
    assert not stray.exists() and other.exists()
    (other / "model.tflite").unlink()
    other.rmdir()


# --- the program of a phone


def test_a_program_changed_on_this_machine_does_not_run(device: AdbDevice, phone: StandInPhone) -> None:
    path = benchmark_binary._file(device._binary.sha256)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(NoDeviceError, match="has changed: delete it and run 'mnas devices setup pixel-6-din1'"):
        open_device(phone.address)
    path.unlink()
    with pytest.raises(NoDeviceError, match=r"is gone .*: run 'mnas devices setup pixel-6-din1' again"):
        open_device(phone.address)


def test_a_program_changed_on_the_way_does_not_run(device: AdbDevice, phone: StandInPhone, model: Path) -> None:
    tool = phone.folder / "bin" / "sha256sum"
    tool.write_text(f'#!/bin/sh\necho "{"0" * 64}  $1"\n')
    tool.chmod(0o755)
    with pytest.raises(DeviceError, match="the benchmark_model on the phone is not the one that was sent"):
        device.run(model, **QUICK)


def test_results_name_the_program(device: AdbDevice, model: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256((tmp_path / "benchmark_model").read_bytes()).hexdigest()
    assert device.run(model, **QUICK).before.runtime == f"benchmark_model tflite {digest}"
    assert digest in device.fingerprint


def test_a_program_that_does_not_start_is_not_remembered(phone: StandInPhone, tmp_path: Path) -> None:
    program = tmp_path / "program"
    for text, message in (
        ("#!/bin/sh\necho 'CANNOT LINK EXECUTABLE: no libc++'; exit 1\n", "does not start there: CANNOT LINK"),
        ("#!/bin/sh\nkill -ABRT $$\n", "does not start there"),
        ("#!/bin/sh\necho hello\n", "the program is not a benchmark_model: --help gave: hello"),
    ):
        program.write_text(text)
        with pytest.raises(DeviceError, match=message):
            set_up_phone(find_device(phone.address), program)
    assert find_device(phone.address).state == "not set up" and phone.files() == []


def elf(machine: int, bits: int) -> bytes:
    return b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(11) + machine.to_bytes(2, "little") + bytes(40)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (elf(40, 32), "built for armeabi-v7a, but the phone needs arm64-v8a"),
        (elf(62, 64), "built for x86_64, but the phone needs arm64-v8a"),
        (elf(8, 32), "built for machine 8"),
        (b"MZ\x90", "no ELF file"),
        (b"\x7fELF", "no ELF file"),
    ],
)
def test_a_program_for_another_machine(content: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        benchmark_binary.check_abi(content, "arm64-v8a", "program")
    assert benchmark_binary.check_abi(elf(183, 64), "arm64-v8a", "program") == "arm64-v8a"


def test_the_official_program_is_fetched_for_the_abi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import functools
    import http.server

    (tmp_path / "android_arm64").mkdir()
    (tmp_path / "android_arm64" / "benchmark_model").write_bytes(elf(183, 64))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(benchmark_binary, "OFFICIAL", f"http://127.0.0.1:{server.server_port}")
        content, source = benchmark_binary.fetch_official("arm64-v8a")
        server.shutdown()
    assert content == elf(183, 64) and source.endswith("/android_arm64/benchmark_model")
    with pytest.raises(UsageError, match="no official benchmark_model for x86: build it and give --binary PATH"):
        benchmark_binary.fetch_official("x86")
