"""How good predictions are, whoever made them: a torch network, a .tflite, a phone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mnascli.data.dataset import Dataset, Images, Split
from mnascli.errors import MnasError
from mnascli.training.batches import ToInput

BATCH_SIZE = 250  # images evaluated at a time


@dataclass(frozen=True, slots=True)
class Scores:
    """`top1` and `top5` accuracy as fractions from 0 to 1, over `images` images."""

    top1: float
    top5: float
    images: int


def evaluate(network: nn.Module, split: Split, dataset: Dataset) -> Scores:
    """Scores of `network` on one part of `dataset`. Raises MnasError for outputs that are not finite."""
    return scores(predict_logits(network, split.images, dataset), split.labels)


def predict_logits(network: nn.Module, images: Images, dataset: Dataset) -> npt.NDArray[np.float32]:
    """Logits (N, classes) for pixels (N, size, size, channels), normalised as `dataset` says.

    The network works in evaluation mode, on the device where it is; its mode is given back.
    """
    was_training = network.training
    network.eval()
    to_input = ToInput(dataset, next(network.parameters()).device, channels_last=True)
    try:
        with torch.inference_mode():
            batches = (images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE))
            return np.concatenate([network(to_input(batch)).float().cpu().numpy() for batch in batches])
    finally:
        network.train(was_training)


def scores(logits: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> Scores:
    """Scores of logits (N, classes) against labels (N,).

    Among equal logits the lower class counts as the prediction, as argmax has it. With 5 classes or fewer, top5 is 1.
    Raises MnasError if a logit is no finite number.
    """
    if not np.isfinite(logits).all():
        raise MnasError("the network's outputs are not finite: its training diverged; use a lower learning rate")
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    before = np.arange(logits.shape[1]) < labels[:, None]
    rank = (logits > own).sum(1) + ((logits == own) & before).sum(1)
    return Scores(top1=float((rank < 1).mean()), top5=float((rank < 5).mean()), images=len(labels))
