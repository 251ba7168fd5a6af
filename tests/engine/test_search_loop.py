"""The search loop: failures are trials too, and many alike end the search with a reason."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mnascli.engine.search_loop import Evaluate, Outcome, SearchStoppedError, TrialWork, search
from mnascli.runs import EventReader, Run, RunError, create_run, open_run, overview
from mnascli.search import Objective, create_searcher
from stand_ins.evaluators import DEVICE, TARGET_MS, evaluate, small_space


def run_search(run: Run, evaluator: Evaluate, trials: int = 12, failures: int = 3) -> None:
    if not run.state.targets_ms:
        run.append("target_set", target_ms={DEVICE: TARGET_MS}, why="test")
    searcher = create_searcher("random", small_space(), seed=1)
    objective = Objective(target_ms={DEVICE: TARGET_MS})
    search(run, searcher, evaluator, objective, trials=trials, batch=4, failures=failures)


def fail(work: Sequence[TrialWork]) -> Iterator[Outcome]:
    for one in work:
        yield Outcome("failed", one.trial, {"stage": "train", "kind": "memory", "reason": "ran out of memory"})


def test_every_trial_ends_done_or_failed(tmp_path: Path) -> None:
    with create_run(tmp_path / "run", "", {}) as run:
        run_search(run, evaluate, trials=30, failures=100)
        states = [trial.state for trial in run.state.trials.values()]
    assert len(states) == 30
    assert set(states) == {"done", "failed"}
    assert len(list((tmp_path / "run" / "searcher").iterdir())) == 2  # old states are removed


def test_failures_alike_stop_the_search(tmp_path: Path) -> None:
    with create_run(tmp_path / "run", "", {}) as run:
        with pytest.raises(SearchStoppedError, match=r"3 trials in a row failed alike .*ran out of memory"):
            run_search(run, fail)
        assert run.state.stopped is not None
        assert len(run.state.failed()) == 3
    with open_run(tmp_path / "run") as run:  # mended, it goes on; the failed trials stay failed
        run.append("run_resumed")
        run_search(run, evaluate, failures=100)
        assert len(run.state.trials) == 12
        assert len(run.state.failed()) >= 3
        assert run.state.stopped is None


def test_more_trials_can_be_asked_of_a_finished_search(tmp_path: Path) -> None:
    for trials in (6, 10):
        path = tmp_path / "run"
        with open_run(path) if path.exists() else create_run(path, "", {}) as run:
            run_search(run, evaluate, trials=trials, failures=100)
            assert len(run.state.trials) == trials


def test_a_lost_searcher_state_is_told(tmp_path: Path) -> None:
    with create_run(tmp_path / "run", "", {}) as run:
        run_search(run, evaluate, trials=4, failures=100)
    for file in (tmp_path / "run" / "searcher").iterdir():
        file.write_bytes(b"damaged")
    with open_run(tmp_path / "run") as run, pytest.raises(RunError, match="searcher's state cannot be read"):
        run_search(run, evaluate, trials=8)


def test_a_hopeless_candidate_is_not_trained_and_tells_the_searcher(tmp_path: Path) -> None:
    """Measured first here; what is then no longer wanted is not trained."""
    told = []

    def measure_then_train(work: Sequence[TrialWork]) -> Iterator[Outcome]:
        for one in work:
            latency_ms = 9.0 if one.trial % 2 else 31.0
            values = {"device": DEVICE, "latency_ms": latency_ms, "p5_ms": 1.0, "p95_ms": 40.0, "verdict": "stable"}
            yield Outcome("measured", one.trial, values)
        for one in work:
            assert one.is_wanted() == (one.trial % 2 == 1)
            if one.is_wanted():
                values = {"accuracy": 0.5 + one.trial / 100, "history": [], "seconds": 1.0}
                yield Outcome("trained", one.trial, values)

    searcher = create_searcher("random", small_space(), seed=1)
    objective = Objective(kind="hard", hopeless=3.0, target_ms={DEVICE: TARGET_MS})
    with create_run(tmp_path / "run", "", {}) as run:
        run.append("target_set", target_ms={DEVICE: TARGET_MS}, why="test")
        searcher.tell = told.extend  # type: ignore[method-assign]
        search(run, searcher, measure_then_train, objective, trials=8, batch=4, failures=1)
        assert [trial.state for trial in run.state.trials.values()] == ["hopeless", "done"] * 4
        assert len(run.state.hopeless()) == 4 and not run.state.failed()
        assert all(trial.trial % 2 for trial in run.state.ranking())
    # As the worst accuracy so far at its own latency: below every trained one, above a failure.
    assert [result.reward for result in told[::2]] == pytest.approx([0.51 * 10 / 31] * 4)
    assert all(result.accuracy is None and result.latency_ms == {DEVICE: 31.0} for result in told[::2])


def test_a_step_looks_at_its_own_batch_and_not_at_all_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search of many trials, half of them hopeless, takes time in proportion to their number."""

    class Watched(dict[int, Any]):
        def values(self) -> Any:
            raise AssertionError("all trials were looked at")

        __iter__ = items = values

    objective = Objective(hopeless=3.0, target_ms={DEVICE: TARGET_MS / 4})
    with create_run(tmp_path / "run", "", {}) as run:
        run.append("target_set", target_ms={DEVICE: TARGET_MS / 4}, why="test")
        run.state.trials = Watched()
        for name in ("random", "evolution"):
            searcher = create_searcher(name, small_space(), seed=1)
            run.state.searcher_file = None
            wanted = len(run.state.trials) + 20
            search(run, searcher, evaluate, objective, trials=wanted, batch=4, failures=100)
        ended = [run.state.trials[number].state for number in range(40)]
        assert min(ended.count("hopeless"), ended.count("done")) > 5


def test_what_the_searcher_has_learned_is_logged_with_each_step(tmp_path: Path) -> None:
    searcher = create_searcher("reinforce", small_space(), seed=1, learning_rate=0.1)
    with create_run(tmp_path / "run", "", {}) as run:
        run.append("target_set", target_ms={DEVICE: TARGET_MS}, why="test")
        search(run, searcher, evaluate, Objective(target_ms={DEVICE: TARGET_MS}), trials=8, batch=4, failures=9)
    view = overview(EventReader(tmp_path / "run" / "events.jsonl").read())
    assert [step for step, _ in view.entropies] == [0, 1]
    first, second = (entropy for _, entropy in view.entropies[:2])
    assert first == pytest.approx(1.0, abs=1e-4)  # the log rounds them
    assert second < first
    assert view.probabilities.keys() == {decision.tag for decision in small_space().decisions}
    assert view.probabilities["block1.kernel"].keys() == {"3", "5"}
