"""Evaluating a checkpoint or a .tflite file on pictures that decided nothing, as `mnas evaluate` does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from mnascli.data import Dataset
from mnascli.data.dataset import Floats, Split
from mnascli.engine.candidate import DataRequest
from mnascli.engine.executors import usable_cores
from mnascli.engine.model_data import DEFAULT_DATA, fitting_data
from mnascli.engine.models import find_model
from mnascli.errors import UsageError
from mnascli.nets.network import Network
from mnascli.tflite.interpreter import Runner, predict_all
from mnascli.tflite.metadata import read_metadata
from mnascli.training.checkpoint import load_checkpoint
from mnascli.training.judging import judge
from mnascli.training.recipe import Recipe
from mnascli.training.scoring import predict_logits

Numbers = tuple[float, ...]


def evaluate_model(
    text: str,
    runs: Path,
    data: str | None,
    *,
    against: str | None = None,
    workers: int | None = None,
    normalisation: tuple[Numbers, Numbers] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """How good a checkpoint or a .tflite file is on the test part, and how fast this machine went through it.

    `against` is a second model, whose predictions are compared image by image. `normalisation` is (mean, std), each of
    pixels from 0 to 1 and one for all channels or one a channel, for a .tflite that does not say its own; `say` hears
    what is assumed without it. Raises UsageError where data or normalisation do not fit.
    """
    if normalisation and not text.endswith(".tflite"):
        raise UsageError(f"{text}: knows its normalisation: --mean and --std are for .tflite files that do not say it")
    workers = workers or len(usable_cores())
    dataset, predict = _opened(text, runs, data, workers, normalisation, say)
    split = dataset.test
    start = time.perf_counter()
    logits = predict(split)
    seconds = time.perf_counter() - start
    judgement = asdict(judge(logits, split.labels, dataset.classes))
    result = {"model": text, "data": dataset.name, **judgement, "images_per_s": len(logits) / seconds}
    if against is None:
        return result
    other, predict_other = _opened(against, runs, data or dataset.name, workers, None, say)
    if other.classes != dataset.classes or other.size != dataset.size or other.channels != dataset.channels:
        raise UsageError(f"{text} and {against} are for other pictures or classes: they cannot be compared")
    differing = logits.argmax(1) != predict_other(other.test).argmax(1)
    return {**result, "against": against, "differing_predictions": int(np.sum(differing))}


def _opened(
    text: str,
    runs: Path,
    data: str | None,
    workers: int,
    normalisation: tuple[Numbers, Numbers] | None,
    say: Callable[[str], None],
) -> tuple[Dataset, Callable[[Split], Floats]]:
    """The data as a model wants to see them, and what makes logits of a part of them."""
    if text.endswith(".tflite"):
        path = Path(text)
        dataset = data_for_file(path, data or DEFAULT_DATA, normalisation, say)
        return dataset, lambda split: predict_all(path, split.images, dataset.normalise, workers)
    model = find_model(text, runs)
    network, about = load_checkpoint(model.weights())
    dataset = fitting_data(model, data, network.architecture, about)
    return dataset, lambda split: _by_torch(network, split, dataset)


def _by_torch(network: Network, split: Split, dataset: Dataset) -> Floats:
    return predict_logits(network, split.images, dataset)


def data_for_file(
    path: Path,
    data: str,
    normalisation: tuple[Numbers, Numbers] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Dataset:
    """Data at the file's input size, normalised as the file says; where it does not, as given, else by the data's own.

    Raises UsageError where the classes are not the file's, or the file says another normalisation.
    """
    runner = Runner(path)
    _, height, width, channels = runner.input_shape
    if height != width or channels not in (1, 3):
        raise UsageError(f"{path}: takes {height}x{width} pixels of {channels} channels: only squares of 1 or 3 fit")
    about = read_metadata(path)
    recipe = Recipe(evaluation_crop=about.crop) if about else Recipe()
    dataset = DataRequest(data, height, channels).load(recipe, to_train=False)
    if runner.classes != len(dataset.classes):
        raise UsageError(f"{path}: has {runner.classes} classes, {dataset.name} has {len(dataset.classes)}")
    if about is None:
        return _normalised(path, dataset, normalisation, say)
    if normalisation:
        raise UsageError(f"{path}: says its normalisation itself: leave out --mean and --std")
    if about.labels != dataset.classes:
        first = next(pair for pair in zip(about.labels, dataset.classes, strict=False) if pair[0] != pair[1])
        raise UsageError(f"{path}: its class {first[0]!r} is {first[1]!r} in {dataset.name}: data of other classes")
    return replace(dataset, mean=about.mean, std=about.std)


def _normalised(
    path: Path, dataset: Dataset, normalisation: tuple[Numbers, Numbers] | None, say: Callable[[str], None]
) -> Dataset:
    if normalisation is None:
        mean, std = (", ".join(f"{value:.3f}" for value in values) for values in (dataset.mean, dataset.std))
        say(
            f"{path}: does not say how its pictures are normalised: (pixel / 255 - [{mean}]) / [{std}] is assumed, the "
            f"mean and deviation of {dataset.name}; --mean and --std say otherwise"
        )
        return dataset
    given_mean, given_std = (values * dataset.channels if len(values) == 1 else values for values in normalisation)
    if (len(given_mean), len(given_std)) != (dataset.channels, dataset.channels) or min(given_std) <= 0:
        raise UsageError(f"--mean, --std: one number or {dataset.channels} were expected, and deviations above 0")
    return replace(dataset, mean=given_mean, std=given_std)
