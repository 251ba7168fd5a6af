"""The trade-off between accuracy and latency: which points no other point beats, and how much they cover."""

from __future__ import annotations

from collections.abc import Iterable

Point = tuple[float, float]  # (latency in milliseconds, accuracy)


def front(points: Iterable[Point]) -> list[Point]:
    """The points that no other matches in both speed and accuracy, fastest first, equal points once. O(n log n)."""
    kept: list[Point] = []
    for point in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not kept or point[1] > kept[-1][1]:
            kept.append(point)
    return kept


def hypervolume(points: Iterable[Point], latency_ms: float, accuracy: float = 0.0) -> float:
    """The area, in milliseconds times accuracy, that the points dominate relative to a reference point.

    The reference is the worst that counts: points as slow as `latency_ms` or no better than `accuracy` add nothing.
    """
    area, floor = 0.0, accuracy
    for point_latency_ms, point_accuracy in front(points):
        if point_latency_ms < latency_ms and point_accuracy > floor:
            area += (latency_ms - point_latency_ms) * (point_accuracy - floor)
            floor = point_accuracy
    return area
