import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from device_conformance import QUICK, DeviceConformance, write_slow_model

from mnascli import tflite
from mnascli.devices.device import Core, DeviceError, DeviceLostError, ModelError, fastest_cores
from mnascli.devices.host import HostDevice, host_cores
from mnascli.devices.worker.process import WORKER_FILE, WorkerProcess
from mnascli.errors import UsageError
from mnascli.space import Architecture

ARCHITECTURE = "ds_r1_k3_s1_c8,head_c16,net_i16_o10"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tflite.write(Architecture.parse(ARCHITECTURE), tmp_path / "model.tflite")


@pytest.fixture
def device() -> Iterator[HostDevice]:
    device = HostDevice()
    yield device
    device.close()


class TestHost(DeviceConformance):
    @pytest.fixture
    def device(self) -> Iterator[HostDevice]:
        device = HostDevice()
        yield device
        device.close()

    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        return tflite.write(Architecture.parse(ARCHITECTURE), tmp_path / "model.tflite")

    @pytest.fixture
    def slow_model(self, tmp_path: Path) -> Path:
        return write_slow_model(tmp_path)


def worker_pid(device: HostDevice) -> int:
    process = device._worker._process
    assert process is not None
    return process.pid


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system cannot pin a process")
def test_the_worker_runs_on_its_core_only(device: HostDevice, model: Path) -> None:
    device.run(model, **QUICK)
    assert os.sched_getaffinity(worker_pid(device)) == set(device.setup.cores)
    assert device.setup.cores == (fastest_cores(host_cores())[0],)


def test_the_worker_is_kept_alive_and_released_models_are_forgotten(device: HostDevice, model: Path) -> None:
    device.run(model, **QUICK)
    pid = worker_pid(device)
    device.release(model)
    model.unlink()
    device.probe()
    assert worker_pid(device) == pid
    assert not device._worker._held


def test_a_worker_killed_while_it_runs_is_an_error_and_is_replaced(device: HostDevice, model: Path) -> None:
    device.run(model, **QUICK)
    pid = worker_pid(device)
    subprocess.Popen([sys.executable, "-c", f"import os, time; time.sleep(0.4); os.kill({pid}, {int(signal.SIGKILL)})"])
    with pytest.raises(ModelError, match=r"model\.tflite: does not run on host: the worker was killed by SIGKILL"):
        device.run(model, **{**QUICK, "runs": 10_000_000})
    assert device.run(model, **QUICK).runs >= 10
    assert worker_pid(device) != pid


def test_close_ends_the_process(device: HostDevice, model: Path) -> None:
    device.run(model, **QUICK)
    pid = worker_pid(device)
    device.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_minimum_times_are_kept(device: HostDevice, model: Path) -> None:
    session = device.run(model, **{**QUICK, "min_s": 0.1})
    assert sum(session.samples_ms) > 50 and session.runs > 10


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system cannot pin a process")
def test_a_core_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="host: there is no core 4096"):
        HostDevice(cores=(4096,))


def test_the_fastest_core_is_the_highest_numbered_of_the_fastest_online() -> None:
    cores = [Core(0, 1800.0), Core(1, 2400.0), Core(2, 2400.0), Core(3, 2800.0, online=False), Core(4, 1800.0)]
    assert fastest_cores(cores) == (2,)
    assert fastest_cores(cores, 3) == (2, 1, 4)
    assert fastest_cores([Core(0), Core(1)]) == (1,)
    assert fastest_cores([]) == ()


# --- the process at the other end of a connection, as a board over SSH has it


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_models_go_through_the_connection_as_bytes(model: Path) -> None:
    worker = WorkerProcess([sys.executable, "-P", str(WORKER_FILE)], "board", send="bytes", lost_exit_code=255)
    try:
        session = worker.run(model, **QUICK)
    finally:
        worker.close()
    assert session.runs >= 10
    assert session.before.cores == ()  # not asked to pin, and says so


def test_a_connection_that_breaks_is_a_lost_device_not_a_bad_model(model: Path) -> None:
    code = "import sys; print('{}', flush=True); sys.stdin.readline(); sys.stderr.write('broken pipe'); sys.exit(255)"
    worker = WorkerProcess(python(code), "board", lost_exit_code=255)
    with pytest.raises(DeviceLostError, match=r"board: the connection is gone: \(broken pipe\)"):
        worker.run(model, **QUICK)
    worker.close()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys; sys.exit('No module named numpy')", r"ended with exit code 1 \(No module named numpy\)"),
        ('print(\'{"error": "ImportError: glibc"}\', flush=True)', "ImportError: glibc"),
        ("print('Welcome to this machine', flush=True); input()", "an answer that cannot be understood"),
        ("import time; time.sleep(60)", "no answer in 0.3 s"),
    ],
)
def test_a_worker_that_does_not_start_says_why(code: str, reason: str, model: Path) -> None:
    timeout_s = 0.3 if "60" in code else 30.0
    worker = WorkerProcess(python(code), "board", start_timeout_s=timeout_s)
    with pytest.raises(DeviceError, match=f"board: the measuring worker does not start: .*{reason}") as caught:
        worker.run(model, **QUICK)
    assert not isinstance(caught.value, ModelError) and "\n" not in str(caught.value)
    assert worker._process is None


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(DeviceError, match="board: no-such-program cannot be started"):
        WorkerProcess(["no-such-program"], "board").conditions()


def test_the_worker_ends_when_its_input_ends(model: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", str(WORKER_FILE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    output, _ = process.communicate('{"command": "dance"}\nnot json\n', timeout=30)
    ready, unknown, damaged = [json.loads(line) for line in output.splitlines()]
    assert process.returncode == 0
    assert ready["ready"] and "unknown command 'dance'" in unknown["error"] and "JSONDecodeError" in damaged["error"]


def test_a_stuck_worker_ends_itself(model: Path) -> None:
    """Nobody is left at the near end: the process must not stay on the board."""
    process = subprocess.Popen(
        [sys.executable, "-P", str(WORKER_FILE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    requests = [
        {"command": "load", "model": digest, "path": str(model)},
        {"command": "run", "model": digest, "warmups": 0, "warmup_min_s": 600, "runs": 1, "min_s": 0, "timeout_s": 0.3},
    ]
    process.stdin.write("".join(json.dumps(request) + "\n" for request in requests).encode())
    process.stdin.flush()
    assert process.wait(timeout=30) == 1
    process.communicate()
