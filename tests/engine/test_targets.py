"""Published networks brought to a latency."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from mnascli.devices.device import ModelError
from mnascli.engine.benches.bench import Bench
from mnascli.engine.targets import WIDTHS, scale_to_latency
from mnascli.errors import MnasError
from mnascli.space import Architecture, count, load, load_space, lower


class Scripted:
    """A bench on which a network takes a millisecond for each million multiply-adds."""

    def __init__(self, limit_ms: float = 1e9) -> None:
        self.measured: list[Architecture] = []
        self.limit_ms = limit_ms

    def measure(self, architectures: Sequence[Architecture]) -> list[Any]:
        self.measured += architectures
        times_ms = [count(one).multiply_adds / 1e6 for one in architectures]
        return [
            ModelError("not done in time") if ms > self.limit_ms else type("Latency", (), {"median_ms": ms})
            for ms in times_ms
        ]


@pytest.mark.parametrize("target_ms", [0.01, 1.0, 2.0, 5.0, 20.0, 1000.0])
def test_the_closest_of_all_widths_is_found(target_ms: float) -> None:
    space, bench = load_space("quick"), Scripted()
    width, architecture = scale_to_latency(cast(Bench, bench), space, "mobilenet-v2", target_ms)
    assert lower(architecture) == lower(space.adapt(load("mobilenet-v2").on(width=width)))
    costs = [count(space.adapt(load("mobilenet-v2").on(width=one))).multiply_adds / 1e6 for one in WIDTHS]
    assert abs(count(architecture).multiply_adds / 1e6 - target_ms) == min(abs(cost - target_ms) for cost in costs)
    assert len(bench.measured) <= 10 < len(set(costs))


def test_widths_that_the_device_cannot_run_are_slower_than_the_target() -> None:
    space, free, limited = load_space("quick"), Scripted(), Scripted(limit_ms=6.0)
    found = scale_to_latency(cast(Bench, limited), space, "mobilenet-v2", 5.0)
    assert found == scale_to_latency(cast(Bench, free), space, "mobilenet-v2", 5.0)
    with pytest.raises(MnasError, match=r"mobilenet-v2 x0.1 cannot be measured: not done in time"):
        scale_to_latency(cast(Bench, Scripted(limit_ms=0.0)), space, "mobilenet-v2", 5.0)


def test_none_is_measured_further_where_the_narrowest_is_too_slow() -> None:
    bench = Scripted()
    width, _ = scale_to_latency(cast(Bench, bench), load_space("quick"), "mnasnet-a1", 0.01)
    assert width == WIDTHS[0]
    assert len(bench.measured) <= 3
