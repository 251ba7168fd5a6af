"""All that an evaluation reports on predictions: accuracy with its interval, per class, confusions, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mnascli.intervals import wilson
from mnascli.training.scoring import scores

CALIBRATION_BINS = 15  # as in Guo et al. (2017)


class Predictions(NamedTuple):
    """Numbers (N, classes) whose greatest is the prediction: logits, or `probabilities`, used as they are."""

    numbers: npt.NDArray[np.float32]
    probabilities: bool = False


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class. `recall`: the share of its images that are found; `precision`: of those predicted so, the right ones.

    None if there is no image to take a share of.
    """

    name: str
    images: int
    recall: float | None
    precision: float | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """All accuracies are fractions from 0 to 1.

    `interval` is Wilson's 95 % interval of top-1. `calibration_error` is the expected difference between confidence and
    accuracy (ECE, 15 bins). `confusions` are (true class, predicted class, images) of all mistakes, commonest first.
    """

    top1: float
    top5: float
    images: int
    interval: tuple[float, float]
    calibration_error: float
    classes: tuple[ClassScore, ...]
    confusions: tuple[tuple[str, str, int], ...]


def judge(predictions: Predictions, labels: npt.NDArray[np.int64], classes: Sequence[str]) -> Judgement:
    """The evaluation of predictions against labels (N,), N being 1 or more. Raises as `scores` does."""
    result = scores(predictions.numbers, labels)
    predicted = predictions.numbers.argmax(1)
    counts = np.bincount(labels * len(classes) + predicted, minlength=len(classes) ** 2)
    counts = counts.reshape(len(classes), len(classes))
    wrong = [
        (classes[true], classes[called], int(counts[true, called]))
        for true, called in np.argwhere(counts).tolist()
        if true != called
    ]
    return Judgement(
        top1=result.top1,
        top5=result.top5,
        images=result.images,
        interval=wilson(result.top1, result.images),
        calibration_error=calibration_error(predictions, labels),
        classes=tuple(
            ClassScore(
                name,
                int(counts[index].sum()),
                _share(counts[index, index], counts[index].sum()),
                _share(counts[index, index], counts[:, index].sum()),
            )
            for index, name in enumerate(classes)
        ),
        confusions=tuple(sorted(wrong, key=lambda one: (-one[2], one))),
    )


def calibration_error(predictions: Predictions, labels: npt.NDArray[np.int64]) -> float:
    """Expected calibration error: how far apart confidence and accuracy are, over bins of similar confidence."""
    numbers = predictions.numbers
    highest = numbers.max(1, keepdims=True)
    if predictions.probabilities:
        confidence = highest[:, 0].astype(np.float64).clip(0, 1)
    else:
        confidence = 1 / np.exp(numbers - highest).sum(1, dtype=np.float64)
    right = numbers.argmax(1) == labels
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, right - confidence, CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def _share(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None
