"""Every test has a home of its own: nothing of the user's is read or written, no adb server of the user's is asked."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from stand_ins.phone import AdbServer, StandInPhone

# The same examples every time, however slow the machine is today.
settings.register_profile("mnas", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mnas")

sys.path += [str(Path(__file__).parent / folder) for folder in ("cli", "devices", "tflite")]


# Whoever starts the tests in the background, or under nohup, has the signals ignored that some of them send.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(("MNAS_", "XDG_", "ADB", "ANDROID_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MNAS_ADB", "off")
    return home


@pytest.fixture(autouse=True)
def contract_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever mnas itself logs in a test keeps to the contract; what a test makes up may be of any kind."""
    from mnascli.runs import events
    from mnascli.runs.directory import Run

    append = Run.append

    def checked(run: Run, event: str, **values: object) -> None:
        if sys._getframe(1).f_globals["__name__"].startswith("mnascli."):
            problem = events.problem({"event": event, **values})
            assert problem is None, problem
        append(run, event, **values)

    monkeypatch.setattr(Run, "append", checked)


@pytest.fixture(autouse=True)
def denormal_numbers() -> Iterator[None]:
    """Training turns them off for the whole process: the next test gets them back."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(scope="session")
def running_adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    from stand_ins.phone import AdbServer

    with AdbServer(tmp_path_factory.mktemp("adb")) as server:
        yield server


@pytest.fixture
def adb_server(running_adb_server: AdbServer, monkeypatch: pytest.MonkeyPatch) -> AdbServer:
    """A real adb server, which adbutils and mnas use in this test."""
    for name, value in running_adb_server.environment.items():
        monkeypatch.setenv(name, value)
    return running_adb_server


@pytest.fixture
def phone(adb_server: AdbServer, tmp_path: Path) -> Iterator[StandInPhone]:
    """A stand-in phone that is attached to the adb server, without benchmark_model."""
    from stand_ins.phone import StandInPhone

    phone = StandInPhone(tmp_path / "phone")
    adb_server.attach(phone)
    yield phone
    adb_server.detach(phone)
