"""SIGKILL at any point loses no finished result and repeats none, and the resumed search proposes the same."""

import multiprocessing
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from mnascli.engine.search_loop import search
from mnascli.runs import EventReader, create_run, open_run, read_state
from mnascli.search import Objective, create_searcher
from stand_ins.evaluators import DEVICE, TARGET_MS, evaluate, small_space

TRIALS, BATCH = 24, 5
OPTIONS = {"ppo": {"batch_size": 5}, "evolution": {"population": 8, "sample": 3}}
WATCHED = (str(Path("mnascli", "runs")), str(Path("mnascli", "engine")))


def go_on(path: Path, searcher_name: str) -> None:
    """Make the run, or resume it where it is there, and search to the end."""
    torch.set_num_threads(1)
    with open_run(path) if path.exists() else create_run(path, "", {}) as run:
        if not run.state.targets_ms:
            run.append("target_set", target_ms={DEVICE: TARGET_MS}, why="test")
        space = small_space()
        searcher = create_searcher(searcher_name, space, seed=3, **OPTIONS.get(searcher_name, {}))
        objective = Objective(target_ms={DEVICE: TARGET_MS})
        search(run, searcher, evaluate, objective, trials=TRIALS, batch=BATCH, failures=100)


def go_on_and_die(path: Path, searcher_name: str, lines_to_live: int) -> None:
    """As `go_on`, killed by SIGKILL after so many lines of the run and engine rooms."""
    left = lines_to_live

    def trace(frame, event, argument):
        nonlocal left
        if not any(part in frame.f_code.co_filename for part in WATCHED):
            return None
        left -= event == "line"
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    torch.set_num_threads(1)
    sys.settrace(trace)
    go_on(path, searcher_name)


def finished_results(path: Path) -> dict[tuple[str, int], object]:
    """Every result in the log; fails where one stands there twice."""
    events = [event for event in EventReader(path / "events.jsonl").read() if "trial" in event]
    counted = Counter((event["event"], event["trial"]) for event in events if event["event"] != "started")
    assert set(counted.values()) <= {1}, "a result was repeated"
    kept = ("accuracy", "latency_ms", "reward", "reason")
    return {
        (event["event"], event["trial"]): [event.get(key) for key in kept]
        for event in events
        if event["event"] != "started"
    }


def proposals(path: Path) -> list[str]:
    return [trial.architecture for trial in read_state(path).trials.values()]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and fork")
@pytest.mark.parametrize("searcher_name", ["ppo", "evolution", "random"])
def test_killed_at_random_points(tmp_path: Path, searcher_name: str) -> None:
    whole = tmp_path / "whole"
    go_on(whole, searcher_name)
    fork = multiprocessing.get_context("fork")
    rng = random.Random(5)
    path = tmp_path / "killed"
    kills = 0
    for _ in range(200):
        before = finished_results(path) if path.exists() else {}
        # Some lives end while the log is read again, others some way after it; later ones are longer, so that it ends.
        lines_to_live = int(10 ** rng.uniform(1.5, 3.0 + kills / 50))
        child = fork.Process(target=go_on_and_die, args=(path, searcher_name, lines_to_live))
        child.start()
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        kills += 1
        after = finished_results(path) if path.exists() else {}
        assert before.items() <= after.items(), "a finished result was lost"
    assert kills >= 20  # over the three searchers more than 60
    assert proposals(path) == proposals(whole)
    assert finished_results(path) == finished_results(whole)
