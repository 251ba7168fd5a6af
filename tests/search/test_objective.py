from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnascli.errors import UsageError
from mnascli.search import Objective
from mnascli.search.objective import make_objective

accuracies = st.floats(0, 1)
latencies = st.floats(1e-3, 1e5)
kinds = st.sampled_from(["soft", "hard", "absolute"])


def test_soft_reward_pays_five_percent_accuracy_for_twice_the_latency() -> None:
    soft = Objective(kind="soft", target_ms=75)
    assert soft.reward(0.75, 75) == pytest.approx(0.75)
    assert soft.reward(0.75, 150) == pytest.approx(0.75 * 2**-0.07)
    assert soft.reward(0.5, 75) == pytest.approx(soft.reward(0.525, 150), rel=0.001)
    assert soft.reward(0.75, 37.5) == pytest.approx(0.75 * 2**0.07)


def test_hard_reward_ignores_latency_within_the_target_only() -> None:
    hard = Objective(kind="hard", target_ms=75)
    assert hard.reward(0.75, 1) == hard.reward(0.75, 75) == 0.75
    assert hard.reward(0.75, 150) == pytest.approx(0.375)


def test_absolute_reward_is_best_at_the_target() -> None:
    absolute = Objective(kind="absolute", target_ms=80)
    assert absolute.reward(0.75, 80) == 0.75
    assert absolute.reward(0.75, 40) == absolute.reward(0.75, 120) == pytest.approx(0.70)


def test_exponents_can_be_given() -> None:
    small = Objective(kind="soft", alpha=-0.15, beta=-0.15, target_ms=22)
    assert small.reward(0.6, 44) == pytest.approx(0.6 * 2**-0.15)
    uneven = Objective(kind="soft", alpha=0, target_ms=22)
    assert uneven.reward(0.6, 11) == 0.6
    assert uneven.reward(0.6, 44) == pytest.approx(0.6 * 2**-0.07)


def test_several_devices_multiply_their_factors_or_add_their_penalties() -> None:
    targets, measured = {"pixel": 75.0, "pi": 120.0}, {"pi": 240.0, "pixel": 37.5}
    assert Objective(kind="hard", target_ms=targets).reward(0.8, measured) == pytest.approx(0.4)
    assert Objective(kind="soft", target_ms=targets).reward(0.8, measured) == pytest.approx(0.8)
    assert Objective(kind="absolute", target_ms=targets).reward(0.8, measured) == pytest.approx(0.8 - 0.05 - 0.1)


@given(kinds, accuracies, latencies, latencies)
def test_no_result_is_rated_below_a_failure(kind: str, accuracy: float, latency_ms: float, target_ms: float) -> None:
    objective = Objective(kind=kind, target_ms=target_ms)
    assert math.isfinite(objective.failed)
    assert objective.reward(accuracy, latency_ms) >= objective.failed


@given(kinds, accuracies, accuracies, latencies, latencies)
def test_reward_rises_with_accuracy(kind: str, one: float, two: float, latency_ms: float, target_ms: float) -> None:
    objective = Objective(kind=kind, target_ms=target_ms)
    low, high = sorted([one, two])
    assert objective.reward(low, latency_ms) <= objective.reward(high, latency_ms)


@given(kinds, accuracies, latencies, latencies, latencies)
def test_beyond_the_target_slower_is_never_better(
    kind: str, accuracy: float, one: float, two: float, target_ms: float
) -> None:
    objective = Objective(kind=kind, target_ms=target_ms)
    fast, slow = sorted([target_ms + one, target_ms + two])
    assert objective.reward(accuracy, fast) >= objective.reward(accuracy, slow)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"target_ms": 0}, "target_ms: the target must be above 0 ms, not 0"),
        ({"target_ms": -3}, "must be above 0 ms, not -3"),
        ({"target_ms": math.nan}, "must be above 0 ms, not nan"),
        ({"target_ms": math.inf}, "must be above 0 ms, not inf"),
        ({"target_ms": "fast"}, "milliseconds were expected, not 'fast'"),
        ({"target_ms": True}, "milliseconds were expected, not True"),
        ({"target_ms": {}}, "no device is named"),
        ({"target_ms": {"pixel": 75, "pi": 0}}, "the target of pi must be above 0 ms"),
        ({"target_ms": 75, "beta": 0.07}, "beta: "),
        ({"target_ms": 75, "kind": "medium"}, "kind: "),
        ({"target_ms": 75, "kind": "absolute", "alpha": -0.1}, "the absolute reward has only beta"),
        ({}, "target_ms: this key is required"),
        ({"target_ms": 75, "target": 75}, "did you mean 'target_ms'?"),
    ],
)
def test_bad_values_are_named_in_one_line(values: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_objective(values, "t.yaml: objective")
    assert said in str(caught.value)
    assert str(caught.value).startswith("t.yaml: objective: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("accuracy", [-0.1, 1.1, math.nan, 75.2])
def test_an_accuracy_that_cannot_be_is_refused(accuracy: float) -> None:
    with pytest.raises(ValueError, match="accuracy from 0 to 1"):
        Objective(target_ms=75).reward(accuracy, 75)


@pytest.mark.parametrize("latency_ms", [0, -1, math.nan, math.inf])
def test_a_latency_that_cannot_be_is_refused(latency_ms: float) -> None:
    with pytest.raises(ValueError, match="latency above 0 ms"):
        Objective(target_ms=75).reward(0.5, latency_ms)


def test_devices_other_than_the_targets_are_refused() -> None:
    for latency in (75.0, {"pixel": 75.0}, {"pixel": 75.0, "pi": 1.0, "tv": 1.0}):
        with pytest.raises(ValueError, match="do not fit the targets"):
            Objective(target_ms={"pixel": 75, "pi": 120}).reward(0.5, latency)


def test_hopeless_is_beyond_the_multiple_of_any_target() -> None:
    assert not Objective(target_ms=10).is_hopeless(1e6)
    assert not Objective(target_ms=10, hopeless=2).is_hopeless(20)
    assert Objective(target_ms=10, hopeless=2).is_hopeless(20.1)
    both = Objective(target_ms={"pixel": 10.0, "pi": 100.0}, hopeless=2)
    assert not both.is_hopeless({"pixel": 19.0, "pi": 190.0})
    assert both.is_hopeless({"pixel": 21.0, "pi": 20.0})
    with pytest.raises(UsageError, match="hopeless"):
        make_objective({"target_ms": 10, "hopeless": 1})
