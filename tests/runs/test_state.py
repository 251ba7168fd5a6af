"""The fold of a run's events: what every event changes, and who is the best."""

from itertools import count
from typing import Any

import pytest

from mnascli.runs import RunState, age, any_unsure, fold, mark, overview


def events(*rows: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    clock = count(100.0)
    return [{"v": 1, "time": next(clock), "event": kind, **values} for kind, values in rows]


def asked(step: int, *trials: int) -> tuple[str, dict[str, Any]]:
    named = [{"trial": trial, "architecture": f"net-{trial}"} for trial in trials]
    return "asked", {"step": step, "searcher": f"searcher/step-{step:06d}.pt", "trials": named}


def measured(trial: int, latency_ms: float, device: str = "host") -> tuple[str, dict[str, Any]]:
    return "measured", {"trial": trial, "device": device, "latency_ms": latency_ms, "verdict": "stable"}


def trained(trial: int, accuracy: float) -> tuple[str, dict[str, Any]]:
    return "trained", {"trial": trial, "accuracy": accuracy, "history": [accuracy], "seconds": 1.0}


def failed(trial: int, kind: str = "memory") -> tuple[str, dict[str, Any]]:
    return "failed", {"trial": trial, "stage": "train", "kind": kind, "reason": "why"}


def search(*rows: tuple[str, dict[str, Any]]) -> RunState:
    return fold(events(("run_started", {}), ("target_set", {"target_ms": {"host": 10.0}, "why": "given"}), *rows))


def test_a_trial_from_asked_to_done() -> None:
    rows = [asked(0, 0, 1), ("started", {"trial": 0, "worker": 0}), measured(0, 5.0), trained(0, 0.7)]
    state = search(*rows)
    trial = state.trials[0]
    assert (trial.state, trial.accuracy, trial.latency_ms, trial.reward) == ("running", 0.7, {"host": 5.0}, None)
    state = search(*rows, ("done", {"trial": 0, "reward": 0.9}))
    assert (state.trials[0].state, state.trials[0].reward) == ("done", 0.9)
    assert (state.trials[1].state, state.step, [trial.trial for trial in state.batch]) == ("asked", 0, [0, 1])
    assert (state.trials[0].began, state.trials[0].ended) == (103.0, 106.0)


def test_the_best_meets_the_target_where_one_does() -> None:
    rows = [asked(0, 0, 1, 2, 3)]
    for trial, latency_ms, accuracy, reward in ((0, 9.0, 0.70, 0.71), (1, 30.0, 0.9, 0.85), (2, 10.0, 0.72, 0.72)):
        rows += [measured(trial, latency_ms), trained(trial, accuracy), ("done", {"trial": trial, "reward": reward})]
    state = search(*rows, failed(3))
    assert [trial.trial for trial in state.ranking()] == [2, 0, 1]
    assert state.best() is state.trials[2]


def test_the_worst_accuracy_is_that_of_trials_that_are_done() -> None:
    rows: list[tuple[str, dict[str, Any]]] = [asked(0, 0, 1, 2, 3)]
    assert search(*rows).worst_accuracy is None
    rows += [trained(0, 0.1), failed(0), trained(3, 0.2)]
    for trial, accuracy in ((1, 0.7), (2, 0.6)):
        rows += [measured(trial, 5.0), trained(trial, accuracy), ("done", {"trial": trial, "reward": accuracy})]
    assert search(*rows).worst_accuracy == 0.6
    assert search(*rows, measured(3, 5.0), ("done", {"trial": 3, "reward": 0.2})).worst_accuracy == 0.2


def test_under_the_absolute_reward_the_best_is_near_the_target() -> None:
    rows = [("target_set", {"target_ms": {"host": 10.0}, "objective": "absolute", "why": "given"}), asked(0, 0, 1, 2)]
    for trial, latency_ms, accuracy, reward in ((0, 5.0, 0.72, 0.67), (1, 9.9, 0.70, 0.699), (2, 10.1, 0.75, 0.749)):
        rows += [measured(trial, latency_ms), trained(trial, accuracy), ("done", {"trial": trial, "reward": reward})]
    assert [trial.trial for trial in search(*rows).ranking()] == [1, 0, 2]


def test_where_none_meets_the_target_reward_decides() -> None:
    rows = [asked(0, 0, 1)]
    for trial, latency_ms, accuracy, reward in ((0, 11.0, 0.7, 0.69), (1, 90.0, 0.9, 0.60)):
        rows += [measured(trial, latency_ms), trained(trial, accuracy), ("done", {"trial": trial, "reward": reward})]
    assert search(*rows).best() is not None
    assert search(*rows).ranking()[0].trial == 0
    assert RunState().best() is None


def test_a_target_is_met_on_every_device_or_not() -> None:
    state = fold(events(("target_set", {"target_ms": {"pixel": 75.0, "pi": 120.0}, "why": "given"})))
    assert state.meets_targets({"pixel": 75.0, "pi": 120.0})
    assert not state.meets_targets({"pixel": 75.0})
    assert not state.meets_targets({"pixel": 70.0, "pi": 125.0})
    assert state.meets_targets({"pixel": 70.0, "pi": 125.0}, tolerance=0.05)


def test_failures_alike_are_counted_in_a_row() -> None:
    rows = [asked(0, *range(6)), failed(0), failed(1)]
    assert search(*rows).failures_alike == 2
    assert search(*rows, failed(2, "timeout")).failures_alike == 1
    good = [measured(2, 1.0), trained(2, 0.5), ("done", {"trial": 2, "reward": 0.5})]
    assert search(*rows, *good).failures_alike == 0
    assert search(*rows, ("run_resumed", {})).failures_alike == 0


def test_stopped_finished_and_resumed() -> None:
    assert search(("run_stopped", {"reason": "enough"})).stopped == "enough"
    assert search(("run_finished", {})).is_finished
    again = search(("run_stopped", {"reason": "enough"}), ("run_finished", {}), ("run_resumed", {}))
    assert (again.stopped, again.is_finished) == (None, False)


def test_what_comes_after_the_search() -> None:
    long = {"model": "trial-0", "seed": 1, "validation": 0.8, "test": 0.79, "checkpoint": "c"}
    compared = {"model": "mobilenet-v2 x0.5", "architecture": "a", "trial": None, "latency_ms": {"host": 9.0}}
    export = {"file": "f.tflite", "trial": 0, "latency_ms": {"host": 8.0}}
    state = search(
        ("phase", {"phase": "compare"}), ("long_trained", long), ("compared", compared), ("exported", export)
    )
    assert state.phase == "compare"
    assert state.long_runs["trial-0", 1]["test"] == 0.79
    assert state.compared["mobilenet-v2 x0.5"] == compared
    assert state.export == export


def test_events_of_a_newer_mnas_change_nothing() -> None:
    before = search(asked(0, 0))
    after = search(asked(0, 0), ("something_new", {"trial": 99}))
    assert after.last_time != before.last_time
    after.last_time = before.last_time
    assert after == before


@pytest.mark.parametrize("kind", ["done", "measured", "trained", "failed", "started"])
def test_a_trial_that_was_never_asked_for_is_damage(kind: str) -> None:
    with pytest.raises(KeyError):
        search((kind, {"trial": 4}))


def test_a_latency_of_the_store_says_so_and_counts_for_no_device() -> None:
    opened = {"devices": [{"device": "host", "name": "host", "serial": "S", "profile": "host"}]}
    new = {"trial": 0, "device": "host", "serial": "S", "latency_ms": 1.0, "verdict": "stable", "source": "device"}
    stored = {**new, "trial": 1, "source": "store", "measured_at": 40.0}
    view = overview(events(("devices_opened", opened), asked(0, 0, 1), ("measured", new), ("measured", stored)))
    state = view.state
    assert (state.trials[0].stored, state.trials[1].stored) == ({}, {"host": 40.0})
    assert state.devices["S"].measured == view.devices["host"].measured == view.devices["host"].stored == 1
    again = {"trial": 1, "latency_ms": {"host": 2.0}, "verdict": {"host": "stable"}, "reward": 0.1}
    assert fold(events(asked(0, 1), ("measured", stored), ("remeasured", again))).trials[1].stored == {}


def test_marks() -> None:
    assert [mark(verdict) for verdict in ("stable", "unstable", "predicted", None)] == ["", "~", "~", ""]
    assert any_unsure([{"a": "stable"}, {"b": "unstable"}]) and not any_unsure([{}, {"a": "stable"}])
    assert age(None, 1.0) == ""
    assert age(0.0, 3 * 3600.0) == "from the store, measured 3 h earlier"
    assert age(0.0, 120.0) == "from the store, measured 2 min earlier"
    assert age(9.0, 1.0) == age(9.0, None) == "from the store"
