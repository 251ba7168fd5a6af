"""Old mouse reports, cut anywhere, and bytes that are no text never end the monitor's input."""

import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from textual._xterm_parser import XTermParser

from mnascli.runs import create_run
from mnascli.tui.mouse import Decoder

ROOT = Path(__file__).parents[2]
CLICK = b"\x1b[M" + bytes([32, 32 + 150, 32 + 12])  # column 150: a byte that UTF-8 does not begin with


@given(st.integers(0, len(CLICK) + 4), st.integers(0, 2))
def test_a_report_is_read_wherever_it_is_cut(at: int, extra: int) -> None:
    stream = b"ab" + CLICK + b"\xc3\xa9"
    decoder = Decoder()
    pieces = [stream[:at], stream[at : at + extra], stream[at + extra :]]
    assert "".join(decoder.decode(piece) for piece in pieces) == "ab\x1b[<0;150;12M\u00e9"


@given(st.lists(st.binary(max_size=12), max_size=6))
def test_any_bytes_are_taken(pieces: list[bytes]) -> None:
    decoder = Decoder()
    text = "".join(decoder.decode(piece) for piece in pieces) + decoder.decode(b"", final=True)
    plain = b"".join(pieces)
    if b"\x1b[M" not in plain:
        assert text == plain.decode("utf-8", "replace")


def test_textual_reads_a_click_and_its_release() -> None:
    text = Decoder().decode(CLICK + b"\x1b[M" + bytes([32 + 3, 32 + 150, 32 + 12]))
    events = list(XTermParser().feed(text))
    assert [type(event).__name__ for event in events] == ["MouseDown", "MouseUp"]
    assert (events[0].x, events[0].y) == (149, 11)  # type: ignore[attr-defined]


def test_an_escape_key_is_not_held_back() -> None:
    assert Decoder().decode(b"\x1b") == "\x1b"


def test_the_monitor_stays_alive_through_them_and_ends_by_its_key(tmp_path: Path) -> None:
    create_run(tmp_path / "runs" / "demo", "", {}).close()
    leader, follower = pty.openpty()
    ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    monitor = subprocess.Popen(
        [sys.executable, "-m", "mnascli.cli.main", "monitor", "demo"],
        stdin=follower, stdout=follower, stderr=follower, cwd=tmp_path, start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    os.close(follower)
    try:
        seen = read(leader, until=b"Quit")
        os.write(leader, CLICK + b"\xff\xfe\x80" + CLICK)
        seen += read(leader, until=None)
        assert monitor.poll() is None, seen[-2000:]
        os.write(leader, b"q")
        seen += read(leader, until=None, seconds=20)
        assert monitor.wait(20) == 0
        assert b"Traceback" not in seen
    finally:
        if monitor.poll() is None:
            monitor.send_signal(signal.SIGKILL)
        os.close(leader)


def test_a_kill_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    create_run(tmp_path / "runs" / "demo", "", {}).close()
    leader, follower = pty.openpty()
    ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    before = termios.tcgetattr(follower)
    monitor = subprocess.Popen(
        [sys.executable, "-m", "mnascli.cli.main", "monitor", "demo"],
        stdin=follower, stdout=follower, stderr=follower, cwd=tmp_path, start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        seen = read(leader, until=b"Quit")
        monitor.send_signal(signal.SIGTERM)
        seen += read(leader, until=b"interrupted", seconds=30)
        assert monitor.wait(20) == 130
        assert b"\x1b[?1049l" in seen and b"\x1b[?25h" in seen and b"Traceback" not in seen
        assert termios.tcgetattr(follower) == before
    finally:
        if monitor.poll() is None:
            monitor.kill()
        os.close(leader)
        os.close(follower)


def read(leader: int, until: bytes | None, seconds: float = 60.0) -> bytes:
    """What the monitor writes, until it wrote `until` (or: nothing more for a second, or it ended)."""
    seen, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        if not select.select([leader], [], [], 1.0)[0]:
            if until is None:
                break
            continue
        try:
            seen += os.read(leader, 65536)
        except OSError:  # the other end was closed
            break
        if until is not None and until in seen:
            break
    return seen
