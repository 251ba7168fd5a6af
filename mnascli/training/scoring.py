"""How good predictions are, whoever made them: a torch network, a .tflite, a phone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mnascli.data.arrays import Images
from mnascli.data.dataset import Dataset, Split
from mnascli.data.streamed import StreamedImages
from mnascli.errors import MnasError
from mnascli.training.batches import ToInput
from mnascli.training.processes import Group

ALONE = Group()
BATCH_SIZE = 250  # images evaluated at a time


@dataclass(frozen=True, slots=True)
class Scores:
    """`top1` and `top5` accuracy as fractions from 0 to 1, over `images` images."""

    top1: float
    top5: float
    images: int


def evaluate(network: nn.Module, split: Split, dataset: Dataset, group: Group = ALONE) -> Scores:
    """Scores of `network` on one part of `dataset`, which the processes of a group divide among themselves.

    Raises MnasError for outputs that are not finite.
    """
    if group.size == 1:
        return scores(predict_logits(network, split.images, dataset), split.labels)
    count = len(split.labels)
    right = torch.zeros(2, dtype=torch.float64)
    for start in range(group.rank * BATCH_SIZE, count, group.size * BATCH_SIZE):
        part = slice(start, start + BATCH_SIZE)
        own = scores(predict_logits(network, split.images[part], dataset), split.labels[part])
        right += torch.tensor([own.top1, own.top5], dtype=torch.float64) * own.images
    top1, top5 = (group.mean(right) * group.size / count).tolist()
    return Scores(top1, top5, count)


def predict_logits(network: nn.Module, images: Images | StreamedImages, dataset: Dataset) -> npt.NDArray[np.float32]:
    """Logits (N, classes) for pixels (N, size, size, channels), normalised as `dataset` says.

    The network runs in evaluation mode, on its device; its mode is restored. Pictures that have to be decoded are
    decoded one batch ahead.
    """
    was_training = network.training
    network.eval()
    to_input = ToInput(dataset, next(network.parameters()).device, channels_last=True)
    try:
        with torch.inference_mode():
            batches: Iterator[Images] = (
                images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE)
            )
            if isinstance(images, StreamedImages):
                batches = _ahead(batches)
            return np.concatenate([network(to_input(batch)).float().cpu().numpy() for batch in batches])
    finally:
        network.train(was_training)


def _ahead(items: Iterator[Images]) -> Iterator[Images]:
    """The items; the next one is made in a thread while one is used."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, items, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, items, None)
            yield item


def scores(logits: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> Scores:
    """Scores of logits (N, classes) against labels (N,).

    If logits are equal, the lower class is the prediction, as with argmax. With 5 classes or fewer, top5 is 1.
    Raises MnasError if a logit is not finite.
    """
    if not np.isfinite(logits).all():
        raise MnasError("the network's outputs are not finite: its training diverged; use a lower learning rate")
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    before = np.arange(logits.shape[1]) < labels[:, None]
    rank = (logits > own).sum(1) + ((logits == own) & before).sum(1)
    return Scores(top1=float((rank < 1).mean()), top5=float((rank < 5).mean()), images=len(labels))
