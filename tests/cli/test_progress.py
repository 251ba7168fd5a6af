"""What a long command says: plain lines in a pipe, a bar on a terminal, no colour where none is wanted."""

import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnascli.cli.progress import Working, left

SCRIPT = """
import time
from mnascli.cli.progress import Working
with Working("baking", every_s=0.05) as working:
    working.step(1, 4, "warm [bold]")
    working.say("a line that stays")
    time.sleep(0.3)
"""


def test_in_a_pipe_plain_lines_come_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with Working("baking", every_s=0.02) as working:
        working.step(1, 4, "warm")
        working.say("a line that stays")
        time.sleep(0.2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "a line that stays"
    assert re.fullmatch(r" +\d+ s  baking  1/4  warm  \d+ s left", lines[1])
    assert len(lines) > 2


def test_a_quick_command_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Working("baking"):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("colour", [True, False])
def test_on_a_terminal_there_is_a_bar_and_no_colour_unless_wanted(colour: bool) -> None:
    leader, follower = pty.openpty()
    wanted = {"TERM": "xterm-256color"} | ({} if colour else {"NO_COLOR": "1"})
    env = {**{key: value for key, value in os.environ.items() if key != "NO_COLOR"}, **wanted, "COLUMNS": "120"}
    root = Path(__file__).parents[2]
    done = subprocess.Popen([sys.executable, "-c", SCRIPT], stderr=follower, env=env, cwd=root)
    os.close(follower)
    output = b""
    try:
        while piece := os.read(leader, 65536):
            output += piece
    except OSError:  # the other end was closed
        pass
    assert done.wait() == 0
    words = output.decode()
    assert "a line that stays" in words
    assert "warm [bold]" in words and "1/4" in words
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-8]", words)) == colour


def test_times_are_said_as_roughly_as_they_are_known() -> None:
    assert [left(seconds) for seconds in (3, 119, 600, 36_000)] == ["3 s", "119 s", "10 min", "10.0 h"]
