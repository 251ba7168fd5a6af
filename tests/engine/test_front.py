"""The front of a run and winners for several targets, out of its log alone."""

from pathlib import Path

import pytest

from mnascli.engine.front import device_of, front_of, summary, winners
from mnascli.errors import MnasError, UsageError
from mnascli.runs import Run, create_run

RESULTS = [(5.0, 0.6), (10.0, 0.7), (10.0, 0.7), (12.0, 0.65), (20.0, 0.9), (4.0, 0.6)]  # latency in ms, accuracy


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = create_run(tmp_path / "run", "", {})
    run.append("target_set", target_ms={"host": 10.0}, why="test")
    trials = [{"trial": trial, "architecture": f"a{trial}"} for trial in range(len(RESULTS) + 2)]
    run.append("asked", step=0, searcher="none", trials=trials)
    for trial, (latency_ms, accuracy) in enumerate(RESULTS):
        run.append("measured", trial=trial, device="host", latency_ms=latency_ms, verdict="stable")
        run.append("trained", trial=trial, accuracy=accuracy, history=[], seconds=1.0)
        run.append("done", trial=trial, reward=0.0)
    run.append("measured", trial=6, device="host", latency_ms=99.0, verdict="stable")
    run.append("hopeless", trial=6)
    run.append("failed", trial=7, stage="train", kind="killed", reason="killed")
    return run


def test_the_front_is_what_nothing_beats(run: Run) -> None:
    assert [trial.trial for trial in front_of(run.state, "host")] == [5, 1, 4]


def test_winners_for_several_targets_out_of_one_run(run: Run) -> None:
    found = winners(run.state, "host", [30.0, 20.0, 19.9, 4.0, 3.9])
    assert [None if trial is None else trial.trial for trial in found] == [4, 4, 1, 5, None]


def test_full_trainings_stand_beside_the_proxy(run: Run) -> None:
    for seed, test in enumerate((0.8, 0.9)):
        run.append("long_trained", model="trial-4", seed=seed, trial=4, test=test)
    last = summary(run.state, "host", [20.0])["front"][-1]
    assert (last["trial"], last["accuracy"]) == (4, 0.9)
    assert last["test"] == pytest.approx(0.85)


def test_what_cannot_be_drawn_is_told(tmp_path: Path, run: Run) -> None:
    with pytest.raises(UsageError, match="measured on host"):
        device_of(run.state, "pixel")
    with create_run(tmp_path / "empty", "", {}) as empty:
        with pytest.raises(MnasError, match="measured nothing yet"):
            device_of(empty.state, None)
        with pytest.raises(MnasError, match="no trial"):
            summary(empty.state, "host", [])
