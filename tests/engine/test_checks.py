"""What a search could not do is said before it: a validation part too small, too few steps, a target out of reach."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mnascli.data import load
from mnascli.devices.measuring import Latency
from mnascli.engine import checks
from mnascli.engine.benches.bench import Bench
from mnascli.engine.config import resolve
from mnascli.errors import UsageError
from mnascli.space import Architecture, count, load_space
from stand_ins.evaluators import small_space


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
    with pytest.raises(UsageError, match=f"the fastest one tried takes {fastest_ms:.3f} ms"):
        checks.reachable(bench, space, 0.5 * fastest_ms)
    assert checks.reachable(bench, space, 1.2 * fastest_ms) is None


def test_a_target_that_everything_meets_is_told() -> None:
    warning = checks.reachable(make_bench(), small_space(), 1e6)
    assert warning is not None
    assert "has no effect" in warning and "\n" not in warning


def test_a_validation_part_too_small_names_what_it_takes() -> None:
    dataset = load("fashion-mnist-10k", size=28)
    assert checks.validation_size(dataset) is None
    few = replace(dataset, validation=dataset.validation._replace(labels=dataset.validation.labels[:25]))
    warning = checks.validation_size(few)
    assert warning is not None
    assert "25 images" in warning and "± 10.0 points" in warning and "takes 625 images" in warning


def test_a_final_training_of_a_handful_of_steps_names_the_epochs_it_takes() -> None:
    dataset, recipe = load("fashion-mnist-10k", size=28), resolve("quick", None, {}).final.recipe
    assert checks.final_steps(dataset, recipe) is None

    def warning(images: int, epochs: int) -> str | None:
        few = replace(dataset, train=dataset.train._replace(labels=dataset.train.labels[:images]))
        return checks.final_steps(few, recipe.model_copy(update={"epochs": epochs}))

    said = warning(360, 3)
    assert said is not None and "\n" not in said
    assert "has only 9 steps" in said and "; 50 epochs would be 150 steps" in said and "final: recipe:" in said
    assert warning(360, 49) and warning(360, 50) is None
    assert warning(50, 149) and warning(50, 150) is None  # a batch is never larger than the part


def test_more_finalists_than_trials_are_said() -> None:
    assert checks.finalists(3, 3) is None
    said = checks.finalists(5, 3)
    assert said is not None and "5 are wanted of 3 trials" in said
