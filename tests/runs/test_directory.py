"""Run directories: made once, whole or not at all, written by one process at a time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mnascli.errors import UsageError
from mnascli.runs import RunError, create_run, find_run, list_runs, open_run, read_meta, read_state


def test_a_run_holds_what_it_was_made_of(tmp_path: Path) -> None:
    with create_run(tmp_path / "runs" / "one", "trials: 3\n", {"seed": 7}) as run:
        assert run.state.began is not None
    assert (run.path / "config.yaml").read_text() == "trials: 3\n"
    assert read_meta(run.path) == {"seed": 7}
    assert [path.name for path in run.path.parent.iterdir()] == ["one"]


def test_a_run_is_never_used_again_silently(tmp_path: Path) -> None:
    create_run(tmp_path / "one", "", {}).close()
    with pytest.raises(UsageError, match="already exists"):
        create_run(tmp_path / "one", "", {})
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="already exists"):
        create_run(tmp_path / "file", "", {})
    assert (tmp_path / "file").read_text() == "mine"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be made"):
        create_run(tmp_path / "file" / "run", "", {})


def test_one_process_writes_and_others_are_told_which(tmp_path: Path) -> None:
    path = tmp_path / "one"
    code = f"from mnascli.runs import open_run; from pathlib import Path; open_run(Path({str(path)!r}))"
    with create_run(path, "", {}) as run:
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "is writing this run" in other.stderr and f"process {os.getpid()}" in other.stderr
        run.append("phase", phase="search")
    # The lock goes with its holder.
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
    assert read_state(path).phase == "search"


def test_listeners_hear_of_what_is_on_the_disk(tmp_path: Path) -> None:
    heard = []
    with create_run(tmp_path / "one", "", {}) as run:
        run.listeners.append(lambda event: heard.append((event["event"], read_state(run.path).phase)))
        run.append("phase", phase="search")
    assert heard == [("phase", "search")]


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run directory"):
        open_run(tmp_path)
    create_run(tmp_path / "one", "", {}).close()
    with pytest.raises(RunError, match=r"no run called 'two'.*one"):
        find_run("two", tmp_path)
    (tmp_path / "one" / "meta.json").write_text("{")
    with pytest.raises(RunError, match=r"meta\.json"):
        read_meta(tmp_path / "one")


def test_an_event_that_does_not_fit_names_its_line(tmp_path: Path) -> None:
    create_run(tmp_path / "one", "", {}).close()
    log = tmp_path / "one" / "events.jsonl"
    with log.open("a") as file:
        file.write(json.dumps({"v": 1, "time": 0, "event": "done", "trial": 5, "reward": 1}) + "\n")
    with pytest.raises(RunError, match="line 2 does not fit"):
        read_state(tmp_path / "one")
    with pytest.raises(RunError, match="line 2 does not fit"):
        open_run(tmp_path / "one")
    log.write_text(log.read_text().splitlines()[0] + "\n")
    open_run(tmp_path / "one").close()  # the failed opening left no lock behind


def test_runs_are_listed_the_latest_first(tmp_path: Path) -> None:
    for name in ("a", "b"):
        create_run(tmp_path / name, "", {}).close()
    with open_run(tmp_path / "a") as run:
        run.append("run_resumed")
    os.utime(tmp_path / "b" / "events.jsonl", (1, 1))  # a clock may be too coarse to tell the two apart
    assert [path.name for path in list_runs(tmp_path)] == ["a", "b"]
    assert list_runs(tmp_path / "nothing") == []
    assert find_run("b", tmp_path) == find_run(str(tmp_path / "b"), tmp_path) == tmp_path / "b"
