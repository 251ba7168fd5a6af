"""Published networks brought to a latency."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from mnascli.engine.bench import Bench
from mnascli.engine.targets import WIDTHS, scale_to_latency
from mnascli.space import Architecture, count, load, load_space, lower


class Scripted:
    """A bench on which a network takes a millisecond for each million multiply-adds."""

    def __init__(self) -> None:
        self.measured: list[Architecture] = []

    def measure(self, architectures: Sequence[Architecture]) -> list[Any]:
        self.measured += architectures
        return [type("Latency", (), {"median_ms": count(one).multiply_adds / 1e6}) for one in architectures]


@pytest.mark.parametrize("target_ms", [0.01, 1.0, 2.0, 5.0, 20.0, 1000.0])
def test_the_closest_of_all_widths_is_found(target_ms: float) -> None:
    space, bench = load_space("quick"), Scripted()
    width, architecture = scale_to_latency(cast(Bench, bench), space, "mobilenet-v2", target_ms)
    assert lower(architecture) == lower(space.adapt(load("mobilenet-v2").on(width=width)))
    costs = [count(space.adapt(load("mobilenet-v2").on(width=one))).multiply_adds / 1e6 for one in WIDTHS]
    assert abs(count(architecture).multiply_adds / 1e6 - target_ms) == min(abs(cost - target_ms) for cost in costs)
    assert len(bench.measured) <= 10 < len(set(costs))


def test_none_is_measured_further_where_the_narrowest_is_too_slow() -> None:
    bench = Scripted()
    width, _ = scale_to_latency(cast(Bench, bench), load_space("quick"), "mnasnet-a1", 0.01)
    assert width == WIDTHS[0]
    assert len(bench.measured) <= 3
