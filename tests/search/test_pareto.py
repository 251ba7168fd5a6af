from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mnascli.search import front, hypervolume
from mnascli.search.pareto import Point

# a coarse grid, so that ties and equal points are common
points = st.lists(st.tuples(st.integers(0, 12).map(float), st.integers(0, 12).map(float)), max_size=40)


def dominates(one: Point, other: Point) -> bool:
    return one != other and one[0] <= other[0] and one[1] >= other[1]


@given(points)
def test_front_is_what_no_other_point_dominates(given_points: list[Point]) -> None:
    unbeaten = {point for point in given_points if not any(dominates(other, point) for other in given_points)}
    found = front(given_points)
    assert found == sorted(unbeaten)


@given(points, st.integers(0, 13), st.integers(0, 13))
def test_hypervolume_counts_the_dominated_unit_squares(
    given_points: list[Point], latency_ms: int, accuracy: int
) -> None:
    squares = sum(
        any(point[0] <= x and point[1] >= y + 1 for point in given_points)
        for x in range(latency_ms)
        for y in range(accuracy, 13)
    )
    assert hypervolume(given_points, latency_ms, accuracy) == squares


def test_of_equal_latency_the_more_accurate_stays() -> None:
    assert front([(10, 0.5), (10, 0.7), (10, 0.7), (20, 0.7), (5, 0.1)]) == [(5, 0.1), (10, 0.7)]


def test_nothing_covers_nothing() -> None:
    assert front([]) == []
    assert hypervolume([], 100.0) == 0
