"""What state a run is in: the log and the lock say it, and every face says the same."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from test_cli import answer, mnas

from mnascli.report.content import gather
from mnascli.runs import Run, create_run, is_written, open_run, read_state, standing
from mnascli.tui.source import RunSource

ASKED = [{"trial": 0, "architecture": "ds_r1_k3_s1_c8"}]
CONFIG = "trials: 4\nbatch: 2\nfinal: {finalists: 1, seeds: 1, compare: []}\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = create_run(tmp_path / "runs" / "demo", CONFIG, {})
    run.append("phase", phase="search")
    run.append("asked", step=0, searcher="x", trials=ASKED)
    run.append("started", trial=0, worker=0)
    return run


def faces(path: Path) -> set[str]:
    """What each face calls the state of a run."""
    listed = answer("runs", "list", "--runs", path.parent)["runs"][0]  # type: ignore[index]
    shown = answer("runs", "show", "demo", "--runs", path.parent)
    monitored = answer("monitor", "demo", "--runs", path.parent, "--json")
    report = gather(path).condition.split(",")[0]
    words = {listed["state"], shown["state"], monitored["state"], report, RunSource(path).word}  # type: ignore[list-item]
    assert listed["phase"] == shown["phase"] == monitored["phase"] == "search"
    return words - {"new"}  # a RunSource that has read nothing yet


def trial(path: Path) -> str:
    return str(answer("runs", "show", "demo", "--runs", path.parent)["trials"][0]["state"])  # type: ignore[index]


def test_a_run_that_is_written_runs_and_one_that_is_not_was_interrupted(run: Run) -> None:
    path = run.path
    assert faces(path) == {"running"} and trial(path) == "running"
    run.close()
    assert faces(path) == {"interrupted"} and trial(path) == "interrupted"
    said = mnas("runs", "show", "demo", "--runs", path.parent).stdout
    assert "interrupted, in phase search" in said and f"mnas search --resume {path}" in said
    again = open_run(path)
    assert faces(path) == {"running"}
    again.append("run_stopped", reason="enough")
    again.close()
    assert faces(path) == {"stopped"}
    again = open_run(path)
    again.append("run_finished")
    again.close()
    assert faces(path) == {"finished"}


def kill(path: Path, text: str) -> None:
    run = open_run(path)
    (path / "LOCK").write_text(text)
    run.append("phase", phase="finalists")
    os.kill(os.getpid(), 9)


def killed(path: Path, text: str) -> None:
    process = multiprocessing.get_context("fork").Process(target=kill, args=(path, text))
    process.start()
    process.join()


def test_after_a_kill_the_number_in_the_lock_says_nothing(run: Run) -> None:
    """It is another's by now: this test's own, which lives."""
    run.close()
    killed(run.path, f"process {os.getpid()} on {os.uname().nodename}")
    assert is_written(run.path) is False
    assert standing(run.path, read_state(run.path)) == "interrupted"


def test_of_another_machines_run_nothing_is_claimed(run: Run) -> None:
    run.close()
    killed(run.path, "process 7 on elsewhere")
    assert is_written(run.path) is None
    assert standing(run.path, read_state(run.path)) == "unknown"


def test_looking_keeps_no_search_from_starting(run: Run) -> None:
    run.close()

    def look(path: Path) -> None:
        while True:
            is_written(path)

    watcher = multiprocessing.get_context("fork").Process(target=look, args=(run.path,), daemon=True)
    watcher.start()
    try:
        for _ in range(200):
            open_run(run.path).close()
    finally:
        watcher.kill()
        watcher.join()


def test_a_run_that_never_began(tmp_path: Path) -> None:
    create_run(tmp_path / "demo", "", {}).close()
    (tmp_path / "demo" / "events.jsonl").write_text("")
    assert standing(tmp_path / "demo", read_state(tmp_path / "demo")) == "new"
    assert json.loads((tmp_path / "demo" / "meta.json").read_text()) == {}
