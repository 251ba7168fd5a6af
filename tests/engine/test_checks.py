"""What a search could not do is said before it: a validation part too small, a target out of reach or no target."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fakes import small_space

from mnascli.data import load
from mnascli.devices.measuring import Latency
from mnascli.engine import checks
from mnascli.engine.bench import Bench
from mnascli.errors import UsageError
from mnascli.space import Architecture, count, load_space


def make_bench() -> Bench:
    """1 ms for 100,000 multiply-adds."""

    def measure(architectures: list[Architecture]) -> list[Latency]:
        fields: dict[str, Any] = dict.fromkeys(Latency.__dataclass_fields__)
        return [Latency(**{**fields, "median_ms": count(one).multiply_adds / 1e5}) for one in architectures]

    return cast(Bench, SimpleNamespace(name="host", measure=measure))


def test_extremes_bound_what_is_sampled() -> None:
    space = load_space("quick")
    small, large = checks.extremes(space)
    assert len(small) == 4  # one for each operator
    assert {block.operator for one in small for block in one.blocks} == {"conv", "sep", "mbconv"}
    assert all(space.encode(one) for one in [*small, large])
    least, most = min(count(one).multiply_adds for one in small), count(large).multiply_adds
    assert all(least <= count(space.decode(indices)).multiply_adds <= most for indices in [(0,) * 42, (1,) * 42])


def test_a_target_that_nothing_meets_names_the_fastest() -> None:
    space, bench = small_space(), make_bench()
    fastest_ms = min(count(one).multiply_adds for one in checks.extremes(space)[0]) / 1e5
    with pytest.raises(UsageError, match=f"the fastest that was tried takes {fastest_ms:.3f} ms"):
        checks.reachable(bench, space, 0.5 * fastest_ms)
    assert checks.reachable(bench, space, 1.2 * fastest_ms) is None


def test_a_target_that_everything_meets_is_told() -> None:
    warning = checks.reachable(make_bench(), small_space(), 1e6)
    assert warning is not None
    assert "decides nothing" in warning and "\n" not in warning


def test_a_validation_part_too_small_names_what_it_takes() -> None:
    dataset = load("fashion-mnist-10k", size=28)
    assert checks.validation_size(dataset) is None
    few = replace(dataset, validation=dataset.validation._replace(labels=dataset.validation.labels[:25]))
    warning = checks.validation_size(few)
    assert warning is not None
    assert "25 images" in warning and "± 10.0 points" in warning and "takes 625 images" in warning
