"""How long trainings would take here, from so short a part that it takes seconds at any picture size."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from mnascli.data.dataset import Dataset, Split
from mnascli.data.streamed import StreamedImages
from mnascli.nets.network import Network
from mnascli.training.loop import train
from mnascli.training.recipe import Recipe

TIMED_S = 1.0  # of timed work
FIRST = 4  # pictures; torch's first steps are slow, and show only how many to take next
LEARNING_RATE = 1e-6  # does not affect the time, and nothing diverges


def seconds_per_epoch(network: Network, dataset: Dataset, recipe: Recipe, *, threads: int | None = None) -> float:
    """How long an epoch with its evaluation takes here, from a few pictures of it (training changes `network`)."""
    images, once = len(dataset.train.labels), one_epoch(recipe)
    work = timed(lambda count: train(network, shortened(dataset, count / images), once, threads=threads), images)
    return work * images


def timed(work: Callable[[int], object], most: int) -> float:
    """Seconds for each of `most` units of `work`, from as few of them as fill `TIMED_S`."""
    count = min(FIRST, most)
    work(count)
    while True:
        began = time.perf_counter()
        work(count)
        seconds = time.perf_counter() - began
        if seconds >= TIMED_S or count == most:
            return seconds / count
        # Not many times more at once: the constant part of the work would mislead.
        count = min(most, count * min(8, max(2, int(1.2 * TIMED_S / seconds))))


def one_epoch(recipe: Recipe) -> Recipe:
    """The recipe for work that is only timed."""
    return recipe.model_copy(update={"epochs": 1, "warmup_epochs": 0.0, "learning_rate": LEARNING_RATE})


def shortened(dataset: Dataset, share: float) -> Dataset:
    """The data set with the first `share` of its training and validation parts."""
    return replace(dataset, train=_share(dataset.train, share), validation=_share(dataset.validation, share))


def _share(split: Split, share: float) -> Split:
    count = max(2, round(share * len(split.labels)))
    images = split.images
    return Split(images.first(count) if isinstance(images, StreamedImages) else images[:count], split.labels[:count])
