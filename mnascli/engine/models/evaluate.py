"""Evaluating a checkpoint or a .tflite file on the held-out test pictures, as `mnas evaluate` does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mnascli.cores import usable_cores
from mnascli.data import Dataset
from mnascli.data.dataset import Split
from mnascli.engine.models.file_data import NOTHING_SAID, FileReading, data_for_file
from mnascli.engine.models.find import find_model
from mnascli.engine.models.pictures import fitting_data, source_of_file
from mnascli.errors import UsageError
from mnascli.nets.network import Network
from mnascli.tflite.metadata import read_metadata
from mnascli.training.checkpoint import load_checkpoint
from mnascli.training.judging import Predictions, judge
from mnascli.training.scoring import predict_logits


def evaluate_model(
    text: str,
    runs: Path,
    data: str | None,
    *,
    against: str | None = None,
    workers: int | None = None,
    reading: FileReading = NOTHING_SAID,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """How good a checkpoint or a .tflite file is on the test part, and how fast this machine went through it.

    `against` is a second model, whose predictions are compared image by image. `reading` is for a .tflite that does not
    fully describe itself; `say` gets what is assumed. Raises UsageError if the data or `reading` do not fit.
    """
    if reading != NOTHING_SAID and not text.endswith(".tflite"):
        raise UsageError(f"{text}: describes its data: --size, --mean, --std and --background are for .tflite files")
    workers = workers or len(usable_cores())
    if data is None and against is not None and _is_file_of_unknown_data(text):
        of_other = FileReading(usual_size=reading.size)
        data = _opened(against, runs, None, workers, of_other, lambda line: None)[0].source
    dataset, predict = _opened(text, runs, data, workers, reading, say)
    split = dataset.test
    start = time.perf_counter()
    predictions = predict(split)
    seconds = time.perf_counter() - start
    judgement = asdict(judge(predictions, split.labels, dataset.classes))
    result = {
        "model": text,
        "data": dataset.name,
        **judgement,
        "images_per_s": len(split.labels) / seconds,
        "size": dataset.size,
        "mean": dataset.mean,
        "std": dataset.std,
        "gives": "probabilities" if predictions.probabilities else "logits",
    }
    if against is None:
        return result
    of_other = FileReading(usual_size=dataset.size)
    other, predict_other = _opened(against, runs, data or dataset.source, workers, of_other, say)
    if other.classes != dataset.classes or other.size != dataset.size or other.channels != dataset.channels:
        raise UsageError(f"{text} and {against} are for other pictures or classes: they cannot be compared")
    differing = predictions.numbers.argmax(1) != predict_other(other.test).numbers.argmax(1)
    return {**result, "against": against, "differing_predictions": int(np.sum(differing))}


def _opened(
    text: str,
    runs: Path,
    data: str | None,
    workers: int,
    reading: FileReading,
    say: Callable[[str], None],
) -> tuple[Dataset, Callable[[Split], Predictions]]:
    """The data as a model needs it, and a function that predicts a part of it."""
    if text.endswith(".tflite"):
        file = data_for_file(Path(text), data, reading, say)
        return file.dataset, lambda split: file.predict(split, workers)
    model = find_model(text, runs)
    network, about = load_checkpoint(model.weights())
    dataset = fitting_data(model, data, network.architecture, about, test_only=True, say=say)
    return dataset, lambda split: _by_torch(network, split, dataset)


def _is_file_of_unknown_data(text: str) -> bool:
    """Whether a model is a .tflite that does not say which pictures it is for."""
    return text.endswith(".tflite") and source_of_file(Path(text), read_metadata(Path(text))) is None


def _by_torch(network: Network, split: Split, dataset: Dataset) -> Predictions:
    return Predictions(predict_logits(network, split.images, dataset))
