"""What a long command says: plain lines in a pipe, a bar on a terminal, no colour where none is wanted."""

import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mnascli.cli.progress import SearchProgress, Working, left
from mnascli.engine.config import Config, resolve
from mnascli.engine.signs import under_way
from mnascli.runs import Overview, Plan, Run, create_run
from mnascli.training.resume import FILE
from mnascli.training.tensors import write_tensors

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


@pytest.fixture
def config() -> Config:
    return resolve("quick", None, {"final": {"finalists": 3, "seeds": 1, "compare": ()}})


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A run among its finalists, of which one is trained."""
    with create_run(tmp_path / "runs" / "demo", "", {}) as run:
        run.append("phase", phase="search")
        run.append("asked", step=0, searcher="x", trials=[{"trial": 0, "architecture": "ds_r1_k3_s1_c8"}])
        run.append("started", trial=0, worker=0)
        run.append("trained", trial=0, accuracy=0.5, history=[0.5])
        run.append("done", trial=0, reward=0.5)
        run.append("phase", phase="finalists")
        run.append("long_trained", model="trial-0", seed=0, trial=0, architecture="ds_r1_k3_s1_c8", selection=0.5)
        yield run


def saved_training(run: Run, name: str, finished_epochs: int) -> None:
    about = {"training": {"recipe.epochs": 9}, "step": 7, "history": [{}] * finished_epochs}
    write_tensors(run.path / "trained" / name / FILE, {"loss_sum": torch.zeros(())}, about)


def test_a_search_gone_on_with_says_at_once_where_it_is(run: Run, config: Config) -> None:
    progress = SearchProgress(config, run)
    with progress:
        assert re.match(r" +0 s  training the finalists  1/\d+", progress.line())
        assert progress._bar.tasks[0].description.startswith("training the finalists")


def test_the_counts_of_a_phase_do_not_stay_in_the_next(run: Run, config: Config) -> None:
    progress = SearchProgress(config, run)
    with progress:
        assert progress._bar.tasks[0].total
        run.append("phase", phase="export")
        assert progress._bar.tasks[0].total is None
        assert progress._bar.tasks[0].fields["count"] == ""
        assert re.fullmatch(r" +\d+ s  exporting and measuring the file", progress.line())


def test_the_time_left_is_the_one_that_the_monitor_shows(
    run: Run, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float | None] = []

    def left_s(self: Overview, plan: Plan, now: float | None = None) -> float:
        asked.append(now)
        return 24 * 60.0

    monkeypatch.setattr(Overview, "left_s", left_s)
    progress = SearchProgress(config, run)
    with progress:
        assert progress.line().endswith("24 min left")
        assert progress._bar.tasks[0].fields["left"] == "24 min left"
    assert None not in asked  # from now on, and not from the last event on


def test_a_pipe_hears_of_a_search_while_no_event_comes(
    run: Run, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    with SearchProgress(config, run, every_s=0.05):
        saved_training(run, "trial-0-seed0", 9)  # in the log already
        saved_training(run, "trial-1-seed0", 2)
        time.sleep(0.6)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 3
    assert any("training the finalists  1/" in line and "trial-1 in epoch 3/9" in line for line in lines)
    assert not any("trial-0 in" in line for line in lines)


def test_what_a_process_before_this_one_saved_is_no_sign_of_life(run: Run) -> None:
    saved_training(run, "trial-1-seed0", 2)
    (run.path / "trained" / "trial-2-seed0").mkdir()
    (run.path / "trained" / "trial-2-seed0" / FILE).write_text("damaged")
    assert under_way(run.path, run.state, 0.0) == ["trial-1 in epoch 3/9"]
    assert under_way(run.path, run.state, time.time() + 60) == []


def test_short_trainings_are_counted(tmp_path: Path, config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    with create_run(tmp_path / "demo", "", {}) as run, SearchProgress(config, run, every_s=0.05):
        run.append("phase", phase="search")
        trials = [{"trial": n, "architecture": "ds_r1_k3_s1_c8"} for n in range(3)]
        run.append("asked", step=0, searcher="x", trials=trials)
        run.append("started", trial=0, worker=0)
        run.append("started", trial=1, worker=1)
        time.sleep(0.4)
    assert "searching  0/20  2 in training, the longest for 0 s" in capsys.readouterr().err
