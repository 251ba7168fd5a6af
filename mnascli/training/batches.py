"""Batches out of arrays of pixels: one vectorised slice each, no worker processes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mnascli.data.dataset import Dataset, Images, Split
from mnascli.training.recipe import Recipe


class Batches:
    """The training part of a data set in batches; each depends on seed, epoch and step, and on nothing before it."""

    def __init__(self, split: Split, recipe: Recipe, seed: int) -> None:
        self.split = split
        self.recipe = recipe
        self.seed = seed
        self.batch_size = min(recipe.batch_size, len(split.labels))
        self.per_epoch = len(split.labels) // self.batch_size

    def order(self, epoch: int) -> npt.NDArray[np.int64]:
        """The images' indices in the order of an epoch."""
        return np.random.default_rng((self.seed, epoch)).permutation(len(self.split.labels))

    def get(self, order: npt.NDArray[np.int64], epoch: int, step: int) -> tuple[Images, npt.NDArray[np.int64]]:
        """Augmented images (batch, size, size, channels) and labels (batch,) of a step, counted within the epoch."""
        chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
        rng = np.random.default_rng((self.seed, epoch, step))
        return augment(self.split.images, chosen, self.recipe, rng), self.split.labels[chosen]


def augment(images: Images, chosen: npt.NDArray[np.int64], recipe: Recipe, rng: np.random.Generator) -> Images:
    """The chosen images, shifted and mirrored by chance: a single gather over all of them."""
    if not (recipe.flip or recipe.shift):
        return images[chosen]
    size = images.shape[1]
    rows, columns = (
        np.clip(np.arange(size) + rng.integers(-recipe.shift, recipe.shift + 1, (len(chosen), 1)), 0, size - 1)
        for _ in range(2)
    )
    if recipe.flip:
        columns = np.where(rng.random((len(chosen), 1)) < 0.5, columns[:, ::-1], columns)
    moved: Images = images[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved


class ToInput:
    """Pixels to what a network takes: uint8 (N, size, size, channels) -> normalised float (N, channels, size, size)."""

    def __init__(self, dataset: Dataset, device: torch.device, channels_last: bool) -> None:
        scale, offset = dataset.scale_and_offset()
        self.scale, self.offset = (torch.from_numpy(values).to(device)[:, None, None] for values in (scale, offset))
        self.device = device
        self.format = torch.channels_last if channels_last else torch.contiguous_format

    def __call__(self, images: Images) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        return torch.addcmul(self.offset, pixels.float(), self.scale).contiguous(memory_format=self.format)
