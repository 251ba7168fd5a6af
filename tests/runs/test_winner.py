"""Who the winner is, from the log alone."""

from __future__ import annotations

import pytest
from test_state import asked, measured, search, trained

from mnascli.runs import RunState
from mnascli.runs.summary import unused, unused_in_words
from mnascli.runs.winner import choose, trained_in_full, winner

Rows = list[tuple[str, dict[str, object]]]


def done(trial: int, latency_ms: float, accuracy: float) -> Rows:
    return [measured(trial, latency_ms), trained(trial, accuracy), ("done", {"trial": trial, "reward": accuracy})]


def long(trial: int, selection: float, seed: int = 0) -> tuple[str, dict[str, object]]:
    values = {"model": f"trial-{trial}", "trial": trial, "seed": seed, "selection": selection, "test": selection}
    return "long_trained", values


SEARCH: Rows = [asked(0, 0, 1, 2), *done(0, 9.0, 0.7), *done(1, 9.5, 0.6), *done(2, 11.0, 0.9)]


def test_before_there_is_a_winner_it_is_the_best_by_proxy() -> None:
    assert winner(RunState()) is None
    state = search(*SEARCH)
    assert winner(state) is state.best() is state.trials[0]


@pytest.mark.parametrize(
    ("selection", "wins"),
    [((0.70, 0.71, 0.90), 1), ((0.71, 0.70, 0.90), 0), ((0.70, 0.70, 0.90), 0)],  # the third misses its target
)
def test_a_finalist_within_the_target_wins_before_a_more_accurate_one_beyond(
    selection: tuple[float, float, float], wins: int
) -> None:
    state = search(*SEARCH, *(long(trial, value) for trial, value in enumerate(selection)))
    assert choose(state, list(state.trials.values()), seed=0).trial == wins
    assert choose(state, [state.trials[2]], seed=0).trial == 2


def test_what_was_made_for_another_winner_does_not_count_any_more() -> None:
    compared = [
        ("compared", {"model": name, "trial": trial, "architecture": "a", "latency_ms": {"host": 9.0}})
        for name, trial in (("trial-0", 0), ("mobilenet-v2 x0.5", None))
    ]
    made = [
        ("winner_chosen", {"trial": 0, "finalists": [0, 2]}),
        *compared,
        ("lead_told", {"baselines": [{"model": "mobilenet-v2 x0.5", "points": 1.0, "interval": [0.0, 2.0]}]}),
        ("exported", {"file": "f", "trial": 0, "latency_ms": {"host": 9.0}}),
    ]
    state = search(*SEARCH, *made)
    assert winner(state) is state.trials[0]
    assert len(state.compared) == 2 and state.lead is not None and state.export is not None
    again = search(*SEARCH, *made, ("winner_chosen", {"trial": 0, "finalists": [0, 1, 2]}))
    assert (again.compared, again.lead, again.export) == (state.compared, state.lead, state.export)
    other = search(*SEARCH, *made, ("winner_chosen", {"trial": 1, "finalists": [0, 1, 2]}))
    assert winner(other) is other.trials[1]
    assert (other.compared, other.lead, other.export) == ({}, None, None)


def test_accuracies_in_full_are_by_seed() -> None:
    state = search(*SEARCH, long(1, 0.8), long(1, 0.9, seed=1), long(2, 0.5))
    assert trained_in_full(state, 1) == [0.8, 0.9]
    assert trained_in_full(state, 0) == []


def test_a_repeated_network_has_the_results_of_the_first_and_is_not_ranked() -> None:
    batch = {"step": 1, "searcher": "s", "trials": [{"trial": 3, "architecture": "other words", "network": "ab"}]}
    first = {"step": 0, "searcher": "s", "trials": [{"trial": 0, "architecture": "words", "network": "ab"}]}
    state = search(("asked", first), *done(0, 9.0, 0.7), ("asked", batch), ("repeated", {"trial": 3, "of": 0}))
    trial = state.trials[3]
    assert (trial.state, trial.accuracy, trial.latency_ms, trial.reward) == ("done", 0.7, {"host": 9.0}, 0.7)
    assert state.known == {"ab": state.trials[0]}
    assert [one.trial for one in state.ranking()] == [0]


def test_failed_finalists_are_tried_again_where_none_was_left() -> None:
    lost = ("long_failed", {"model": "trial-0", "trial": 0, "seed": 0, "kind": "memory", "reason": "why"})
    stopped: Rows = [lost, ("run_stopped", {"reason": "none left"})]
    assert search(*SEARCH, *stopped).long_failures
    assert not search(*SEARCH, *stopped, ("run_resumed", {"trials": 3})).long_failures
    assert search(*SEARCH, lost, ("run_resumed", {"trials": 3})).long_failures  # it was but interrupted


@pytest.mark.parametrize(("latency_ms", "share"), [(9.5, None), (8.0, 0.8)])
def test_a_winner_that_leaves_much_of_its_target_is_set_beside_the_best_near_it(
    latency_ms: float, share: float | None
) -> None:
    rows: Rows = [asked(0, 0, 1, 2), *done(0, latency_ms, 0.7), *done(1, 9.6, 0.6), *done(2, 9.9, 0.5)]
    longs = [long(0, 0.72), long(1, 0.69), long(2, 0.71)]
    state = search(*rows, *longs, ("winner_chosen", {"trial": 0, "finalists": [0, 1, 2]}))
    left = unused(state)
    if share is None:
        assert left is None
        return
    assert left == {"share": share, "selection": 0.72, "near": {"trial": 2, "latency_ms": 9.9, "selection": 0.71}}
    assert unused_in_words(left) == (
        "the winner uses 80% of its target: trial 2, the best finalist near the target, reached 0.710 on the selection "
        "part, the winner 0.720: the smaller network is no less accurate"
    )
    alone = unused(search(*rows, *longs, ("winner_chosen", {"trial": 0, "finalists": [0]})))
    assert alone is not None and unused_in_words(alone).endswith("no finalist used more than 90% of it")
