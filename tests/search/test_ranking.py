"""Kendall's tau against values worked out by hand and against the definition."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnascli.search.ranking import kendall_tau


def test_the_same_and_the_reversed_order() -> None:
    values = [0.1, 0.5, 0.7, 0.9]
    assert kendall_tau(values, values).tau == 1
    assert kendall_tau(values, values[::-1]).tau == -1


def test_a_known_value() -> None:
    # Of the 10 pairs 2 are the other way round: (2, 1) and (5, 4).
    assert kendall_tau([1, 2, 3, 4, 5], [2, 1, 3, 5, 4]).tau == pytest.approx((8 - 2) / 10)


def test_ties_are_taken_out_of_the_denominator() -> None:
    # tau-b: 2 pairs agree, 1 is tied in the first.
    assert kendall_tau([1, 1, 2], [1, 2, 3]).tau == pytest.approx(2 / math.sqrt(2 * 3))


def test_significance_at_twenty() -> None:
    # Published critical value of |tau| at n = 20 and 5 %, two-sided: 0.326.
    values = list(range(20))
    for swaps, significant in ((60, True), (70, False)):  # of 190 pairs, so tau = 1 - 2 swaps / 190
        order, left = [*values], swaps
        for end in range(19, 0, -1):
            for index in range(end):
                if left:
                    order[index], order[index + 1] = order[index + 1], order[index]
                    left -= 1
        tau = kendall_tau(values, order)
        assert tau.tau == pytest.approx(1 - 2 * swaps / 190)
        assert (tau.p_value < 0.05) == significant


def test_nothing_to_order() -> None:
    assert math.isnan(kendall_tau([1, 1, 1], [1, 2, 3]).tau)
    assert math.isnan(kendall_tau([1], [1]).tau)
    with pytest.raises(ValueError, match="3 and 2"):
        kendall_tau([1, 2, 3], [1, 2])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_the_definition(pairs: list[tuple[int, int]]) -> None:
    agree = tied_first = tied_second = total = 0
    for index, (a, b) in enumerate(pairs):
        for c, d in pairs[:index]:
            agree += ((a > c) - (a < c)) * ((b > d) - (b < d))
            tied_first, tied_second, total = tied_first + (a == c), tied_second + (b == d), total + 1
    tau = kendall_tau(*zip(*pairs, strict=True)).tau
    denominator = math.sqrt((total - tied_first) * (total - tied_second))
    assert math.isnan(tau) if denominator == 0 else tau == pytest.approx(agree / denominator)
