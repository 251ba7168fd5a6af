"""Searches that could not give what is asked of them: reported in one line before the work, not found after it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mnascli.data import Dataset
from mnascli.engine.benches.bench import Bench
from mnascli.engine.targets import median_ms
from mnascli.errors import UsageError
from mnascli.space import Architecture, Space, count
from mnascli.training.recipe import Recipe

# The standard error, at an accuracy of 1/2, that tells candidates apart: a difference of two of them is significant.
RESOLUTION = 0.02
# A training with fewer has hardly begun; `quick` takes 186 on the bundled pictures.
FEWEST_STEPS = 150
MARGIN = 0.1  # the tried networks may not be the very fastest and slowest, and are measured to within a few per cent


def validation_size(dataset: Dataset) -> str | None:
    """A warning if the validation part is too small to tell candidates apart, None if it is not."""
    images = len(dataset.validation.labels)
    needed = math.ceil(0.25 / RESOLUTION**2)
    if images >= needed:
        return None
    return (
        f"the validation part has {images} images: accuracies are known to ± {50 / math.sqrt(images):.1f} points, so "
        f"the search may follow luck; telling candidates {200 * RESOLUTION:.0f} points apart takes {needed} images"
    )


def final_steps(dataset: Dataset, recipe: Recipe) -> str | None:
    """A warning if the final training, by `recipe`, ends after a few steps, None if it does not."""
    images = len(dataset.train.labels)
    batch = min(images, recipe.batch_size)
    per_epoch = images // batch
    steps = recipe.epochs * per_epoch
    if steps >= FEWEST_STEPS:
        return None
    return (
        f"the final training has only {steps} steps: {images} training images in batches of {batch}, "
        f"{recipe.epochs} times; {math.ceil(FEWEST_STEPS / per_epoch)} epochs would be {FEWEST_STEPS} steps: set "
        "epochs under final: recipe: in a --config file, or train the winner longer with 'mnas train RUN --epochs'"
    )


def finalists(wanted: int, trials: int) -> str | None:
    """A warning if more trials are to be trained in full than are tried, None otherwise."""
    if wanted <= trials:
        return None
    return f"final: finalists: {wanted} are wanted of {trials} trials: all that succeed are trained in full"


def reachable(bench: Bench, space: Space, target_ms: float) -> str | None:
    """A warning if every network of the space meets the target. Raises UsageError if none does.

    It measures networks that are small in everything, one for each operator, and the largest of the large ones.
    """
    small, large = extremes(space)
    times = [median_ms(one, "an extreme of the space") for one in bench.measure([*small, large])]
    fastest_ms, slowest_ms, device = min(times), max(times), bench.name
    if target_ms < fastest_ms * (1 - MARGIN):
        raise UsageError(
            f"target_ms: nothing in the space takes {target_ms:g} ms on {device}: the fastest one tried takes "
            f"{fastest_ms:.3f} ms; raise the target or offer smaller networks in the space"
        )
    if target_ms > slowest_ms * (1 + MARGIN):
        return (
            f"every network of the space meets {target_ms:g} ms on {device}: the slowest one tried takes "
            f"{slowest_ms:.3f} ms; the target has no effect: lower it or offer larger networks in the space"
        )
    return None


def extremes(space: Space) -> tuple[list[Architecture], Architecture]:
    """For each operator the network that is smallest in everything else; and the largest of all in multiply-adds."""
    operators = list(dict.fromkeys(name for choices in space.block_choices for name in choices.operator))
    small = [_uniform(space, operator, min) for operator in operators]
    large = [_uniform(space, operator, max) for operator in operators]
    return small, max(large, key=lambda one: count(one).multiply_adds)


def _uniform(space: Space, operator: str, extreme: Callable[[Sequence[float]], float]) -> Architecture:
    """Every block with that operator if it offers it, without a skip if it can be, and all numbers at one extreme."""
    indices = []
    for decision in space.decisions:
        name = decision.tag.partition(".")[2]
        if name == "operator":
            wanted = operator if operator in decision.choices else decision.choices[0]
        elif name == "skip":
            wanted = "none" if "none" in decision.choices else decision.choices[0]
        else:
            wanted = extreme(decision.choices)
        indices.append(decision.choices.index(wanted))
    return space.decode(indices)
