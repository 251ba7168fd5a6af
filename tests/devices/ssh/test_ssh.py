"""Boards over a real sshd on loopback, with this machine's Python as the board's."""

import dataclasses
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from device_conformance import QUICK, DeviceConformance, write_slow_model

from mnascli import tflite
from mnascli.devices.device import DeviceLostError
from mnascli.devices.finding import find_device, list_devices, open_device
from mnascli.devices.ssh.device import SshDevice, _libc_problem
from mnascli.errors import NoDeviceError, UsageError
from mnascli.space import Architecture
from stand_ins.sshd import Sshd, missing

needs_sshd = pytest.mark.skipif(bool(missing()), reason=missing() or "-")


def write_profile(home: Path, address: str, more: str = "") -> None:
    path = home / ".config" / "mnas" / "devices" / "board.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"name: board\nmatch: {{kind: ssh}}\naddress: {address}\npython: {sys.executable}\n{more}", encoding="utf-8"
    )


@pytest.fixture(scope="module")
def running_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd") / "board") as sshd:
        yield sshd


@pytest.fixture
def sshd(running_sshd: Sshd, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Sshd:
    monkeypatch.setenv("PATH", f"{running_sshd.path}:{os.environ['PATH']}")
    write_profile(own_home, running_sshd.address)
    return running_sshd


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tflite.write(Architecture.parse("ds_r1_k3_s1_c8,head_c16,net_i16_o10"), tmp_path / "model.tflite")


@needs_sshd
class TestSsh(DeviceConformance):
    @pytest.fixture
    def device(self, sshd: Sshd) -> Iterator[SshDevice]:
        device = SshDevice("board", sshd.address, sys.executable)
        yield device
        device.close()
        assert not [path for path in sshd.home.rglob("*") if path.is_file()]

    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        return tflite.write(Architecture.parse("ds_r1_k3_s1_c8,head_c16,net_i16_o10"), tmp_path / "model.tflite")

    @pytest.fixture
    def slow_model(self, tmp_path: Path) -> Path:
        return write_slow_model(tmp_path)


@needs_sshd
def test_a_board_is_listed_under_its_profiles_name(sshd: Sshd) -> None:
    (board,) = [info for info in list_devices() if info.kind == "ssh"]
    assert (board.name, board.serial, board.state, board.profile) == ("board", sshd.address, "ready", "board")
    assert board.abi and board.os
    assert find_device(sshd.address) == board
    device = open_device("board")
    assert device.probe().info == dataclasses.replace(board, profile="")
    device.close()


@needs_sshd
def test_a_board_that_loses_its_power_is_lost_and_the_next_call_works(
    own_home: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sshd(tmp_path / "board") as sshd:
        monkeypatch.setenv("PATH", f"{sshd.path}:{os.environ['PATH']}")
        device = SshDevice("board", sshd.address, sys.executable)
        device.run(model, **QUICK)
        threading.Timer(0.3, sshd.stop).start()
        with pytest.raises(DeviceLostError, match="board: the connection is gone"):
            device.run(model, **{**QUICK, "min_s": 60.0, "timeout_s": 90.0})
        with pytest.raises(DeviceLostError, match="board"):
            device.probe()
        sshd.start()
        assert device.run(model, **QUICK).runs >= 10
        device.close()


@needs_sshd
def test_an_sshd_that_asks_for_a_password_is_one_clear_line(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sshd(tmp_path / "board", accepts_key=False) as sshd:
        monkeypatch.setenv("PATH", f"{sshd.path}:{os.environ['PATH']}")
        write_profile(own_home, sshd.address)
        board = find_device("board")
        assert board.state == "unreachable"
        assert "it asks for a password or has none of your keys: run 'ssh-copy-id" in board.problem
        with pytest.raises(NoDeviceError, match=r"board cannot be used .*asks for a password") as caught:
            open_device("board")
        assert caught.value.exit_code == 3 and "\n" not in str(caught.value)


def test_a_board_that_is_switched_off(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing():
        pytest.skip(missing())
    sshd = Sshd(tmp_path / "board")
    monkeypatch.setenv("PATH", f"{sshd.path}:{os.environ['PATH']}")
    write_profile(own_home, sshd.address)
    with pytest.raises(NoDeviceError, match=r"board cannot be used \(unreachable\): .*no sshd answers: switch ssh on"):
        open_device("board")


@needs_sshd
def test_a_core_that_the_board_lacks(sshd: Sshd, own_home: Path) -> None:
    write_profile(own_home, sshd.address, "cores: [400]\n")
    with pytest.raises(UsageError, match=r"board: there is no core 400 \(cores: 0"):
        open_device("board")


@needs_sshd
def test_a_python_without_the_runtime_is_not_set_up(sshd: Sshd, own_home: Path) -> None:
    write_profile(own_home, sshd.address)
    path = own_home / ".config" / "mnas" / "devices" / "board.yaml"
    path.write_text(path.read_text().replace(sys.executable, "/usr/bin/env"))
    board = find_device("board")
    assert (board.state, board.problem) == ("not set up", "it has no ai-edge-litert: run 'mnas devices setup board'")


@pytest.mark.parametrize(
    ("libc", "problem"),
    [
        ("glibc 2.36", ""),
        ("glibc 2.34", ""),
        ("glibc 2.31", r"its glibc is 2.31, but ai-edge-litert needs 2.34: use Raspberry Pi OS Bookworm or newer"),
        ("", "ai-edge-litert needs glibc 2.34, and this system has a different C library: use Debian or the like"),
    ],
)
def test_the_c_library_is_looked_at_first(libc: str, problem: str) -> None:
    assert _libc_problem(libc) == problem


@pytest.mark.parametrize("address", ["-oProxyCommand=touch /tmp/x", "pi@board; reboot", "pi board", "$(reboot)"])
def test_an_address_can_not_be_an_option_or_a_command(own_home: Path, address: str) -> None:
    write_profile(own_home, f'"{address}"')
    with pytest.raises(UsageError, match=r"board\.yaml: line 3: address: "):
        find_device("board")


def test_only_boards_have_an_address(own_home: Path) -> None:
    write_profile(own_home, "pi@board")
    path = own_home / ".config" / "mnas" / "devices" / "board.yaml"
    path.write_text(path.read_text().replace("kind: ssh", "kind: adb"))
    with pytest.raises(UsageError, match="devices of kind adb have none"):
        find_device("board")
