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

from mnascli.engine.rungs import Rungs
from mnascli.engine.search_loop import search
from mnascli.engine.sections import RungConfig
from mnascli.runs import EventReader, create_run, open_run, read_state
from mnascli.search import Objective, create_searcher
from mnascli.training.recipe import Recipe
from stand_ins.evaluators import DEVICE, TARGET_MS, Longer, evaluate, small_space

TRIALS, BATCH = 24, 5
OPTIONS = {"ppo": {"batch_size": 5}, "evolution": {"population": 8, "sample": 3}}
WATCHED = (str(Path("mnascli", "runs")), str(Path("mnascli", "engine")))


RUNGS = (RungConfig(epochs=3, share=0.6, by="loss"), RungConfig(epochs=9, share=0.2))


def go_on(path: Path, searcher_name: str, rungs: tuple[RungConfig, ...] = ()) -> None:
    """Make the run, or resume it where it is there, and search to the end."""
    torch.set_num_threads(1)
    with open_run(path) if path.exists() else create_run(path, "", {}) as run:
        if not run.state.targets_ms:
            run.append("target_set", target_ms={DEVICE: TARGET_MS}, why="test")
        space = small_space()
        searcher = create_searcher(searcher_name, space, seed=3, **OPTIONS.get(searcher_name, {}))
        objective = Objective(target_ms={DEVICE: TARGET_MS})
        climb = Rungs(rungs, Recipe(), Longer(), {}, 3, run.trial_folder).climb
        search(run, searcher, evaluate, objective, trials=TRIALS, batch=BATCH, failures=100, climb=climb)


def go_on_and_die(path: Path, searcher_name: str, rungs: tuple[RungConfig, ...], lines_to_live: int) -> None:
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
    go_on(path, searcher_name, rungs)


def finished_results(path: Path) -> dict[tuple[str, int, int], object]:
    """Every result in the log; fails where one stands there twice."""
    events = [event for event in EventReader(path / "events.jsonl").read() if "trial" in event]
    counted = Counter(
        (event["event"], event["trial"], event.get("rung", 0)) for event in events if event["event"] != "started"
    )
    assert set(counted.values()) <= {1}, "a result was repeated"
    kept = ("accuracy", "latency_ms", "reward", "reason")
    return {
        (event["event"], event["trial"], event.get("rung", 0)): [event.get(key) for key in kept]
        for event in events
        if event["event"] != "started"
    }


def proposals(path: Path) -> list[str]:
    return [trial.architecture for trial in read_state(path).trials.values()]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and fork")
@pytest.mark.parametrize(
    ("searcher_name", "rungs", "least"),
    [("ppo", (), 20), ("evolution", (), 20), ("random", (), 20), ("evolution", RUNGS, 50)],
    ids=["ppo", "evolution", "random", "evolution with rungs"],
)
def test_killed_at_random_points(tmp_path: Path, searcher_name: str, rungs: tuple[RungConfig, ...], least: int) -> None:
    whole = tmp_path / "whole"
    go_on(whole, searcher_name, rungs)
    fork = multiprocessing.get_context("fork")
    rng = random.Random(5)
    path = tmp_path / "killed"
    kills = 0
    for _ in range(200):
        before = finished_results(path) if path.exists() else {}
        # Some lives end while the log is read again, others some way after it; later ones are longer, so that it ends.
        lines_to_live = int(10 ** rng.uniform(1.5, 3.0 + kills / (2.5 * least)))
        child = fork.Process(target=go_on_and_die, args=(path, searcher_name, rungs, lines_to_live))
        child.start()
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        kills += 1
        after = finished_results(path) if path.exists() else {}
        assert before.items() <= after.items(), "a finished result was lost"
    assert kills >= least
    assert read_state(path).promoted == read_state(whole).promoted and bool(rungs) == bool(read_state(path).promoted)
    assert proposals(path) == proposals(whole)
    assert finished_results(path) == finished_results(whole)
