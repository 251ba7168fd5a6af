"""Ctrl-C and kills: said at once, obeyed between two steps, and the second one ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnascli.interrupts import listening, was_heard, whole, whole_steps

ROOT = Path(__file__).parents[1]


def press(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_is_an_interrupt_and_afterwards_as_before(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with listening(), pytest.raises(KeyboardInterrupt):
        press(number)
    assert signal.getsignal(number) == before
    assert "again to leave at once" in capfd.readouterr().err


def test_a_step_is_finished_first() -> None:
    done = []
    with listening():
        assert not was_heard()
        with pytest.raises(KeyboardInterrupt):
            for step in whole_steps(range(9)):
                if step == 2:
                    press()
                done.append(step)
        assert was_heard()
    assert done == [0, 1, 2]


def test_a_block_is_whole() -> None:
    done = []
    with listening(), pytest.raises(KeyboardInterrupt):
        with whole():
            with whole():
                press()
            done.append("inner")
        done.append("never")
    assert done == ["inner"]


def test_what_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with listening():
            press(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


STUBBORN = """
import time
from mnascli.interrupts import listening, saying
with listening(), saying("heard"):
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaning", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_ends_at_once(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        process.send_signal(number)  # as `timeout` does it: twice at the same time is once
        assert process.stderr.readline() == "heard\n"
        assert process.stdout.readline() == "cleaning\n"
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(20) == 130
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()
