"""Batches of training images: a vectorised slice each if they are in memory, else decoded by worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from mnascli.data.arrays import DataError, Images, Labels
from mnascli.data.dataset import Dataset, Split
from mnascli.data.picture import to_pixels
from mnascli.data.streamed import StreamedImages
from mnascli.errors import UsageError
from mnascli.training.augment import augmented
from mnascli.training.recipe import Recipe

Key = tuple[int, int, int, int]  # epoch, step in it, place in the batch, number of the picture


class Batches:
    """The training part of a data set in batches; each depends on seed, epoch and step, and on nothing before it.

    `rank` of `ranks` processes gets its consecutive share of each batch. `workers` processes decode pictures; 0: this
    process does. Raises UsageError for batches that cannot be divided evenly.
    """

    def __init__(
        self, split: Split, recipe: Recipe, seed: int, *, rank: int = 0, ranks: int = 1, workers: int = 0
    ) -> None:
        self.split = split
        self.recipe = recipe
        self.seed = seed
        self.batch_size = min(recipe.batch_size, len(split.labels) // ranks * ranks)
        if self.batch_size % ranks or not self.batch_size:
            raise UsageError(f"a batch of {recipe.batch_size} images cannot be divided evenly among {ranks} processes")
        self.per_epoch = len(split.labels) // self.batch_size
        self.own = slice(rank * self.batch_size // ranks, (rank + 1) * self.batch_size // ranks)
        self.workers = workers
        streamed = isinstance(split.images, StreamedImages) or recipe.needs_pictures
        self._in_memory = None if streamed else cast(Images, split.images)
        self._loader: DataLoader[Any] | None = None

    def order(self, epoch: int) -> npt.NDArray[np.int64]:
        """The indices of the images in an epoch's order."""
        return np.random.default_rng((self.seed, epoch)).permutation(len(self.split.labels))

    def epoch(self, epoch: int, begin: int = 0) -> Iterator[tuple[Images, Labels]]:
        """Augmented images (n, size, size, channels) and labels (n,) of each step of an epoch from `begin` on."""
        order = self.order(epoch)
        if self._in_memory is None:
            yield from self._decoded(order, epoch, begin)
            return
        for step in range(begin, self.per_epoch):
            yield self.get(order, epoch, step)

    def get(self, order: npt.NDArray[np.int64], epoch: int, step: int) -> tuple[Images, Labels]:
        """The batch of a step, from images in memory."""
        chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
        rng = np.random.default_rng((self.seed, epoch, step))
        assert self._in_memory is not None
        return augment(self._in_memory, chosen, self.recipe, rng, self.own), self.split.labels[chosen[self.own]]

    def _decoded(self, order: npt.NDArray[np.int64], epoch: int, begin: int) -> Iterator[tuple[Images, Labels]]:
        if self._loader is None:
            self._keys = _Keys()
            self._loader = DataLoader(
                _Decoding(self.split, self.recipe, self.seed, self.batch_size),
                batch_sampler=self._keys,
                num_workers=self.workers,
                collate_fn=_as_it_is,
                persistent_workers=self.workers > 0,
                prefetch_factor=4 if self.workers else None,
                worker_init_fn=_start_worker,
            )
        places = range(self.batch_size)[self.own]
        self._keys.batches = (
            [(epoch, step, place, int(order[step * self.batch_size + place])) for place in places]
            for step in range(begin, self.per_epoch)
        )
        for batch in self._loader:
            if isinstance(batch, str):
                raise DataError(batch)
            images, labels = batch
            yield images.numpy(), labels.numpy()


class _Keys(Sampler[list[Key]]):
    """What the workers should decode, batch by batch."""

    batches: Iterator[list[Key]] = iter(())

    def __iter__(self) -> Iterator[list[Key]]:
        return self.batches


class _Decoding(TorchDataset[Any]):
    """What a worker does: a whole batch at once, as tensors, which reach the training process through shared memory."""

    def __init__(self, split: Split, recipe: Recipe, seed: int, batch_size: int) -> None:
        self.split = split
        self.recipe = recipe
        self.seed = seed
        self.batch_size = batch_size

    def __getitems__(self, keys: list[Key]) -> tuple[Tensor, Tensor] | str:
        """uint8 (n, size, size, channels) and labels (n,); a text for pictures that cannot be read."""
        epoch, step, first, _ = keys[0]
        try:
            images = np.stack([self._picture(*key) for key in keys])
        except DataError as error:
            return str(error)  # an exception would come back with its traceback in its text
        rng = np.random.default_rng((self.seed, epoch, step))
        own = slice(first, first + len(keys))
        whole = np.zeros(self.batch_size, np.int64)
        whole[own] = np.arange(len(keys))
        images = augment(images, whole, self.recipe, rng, own)
        labels = self.split.labels[[number for *_, number in keys]]
        return torch.from_numpy(images), torch.from_numpy(labels)

    def _picture(self, epoch: int, step: int, place: int, number: int) -> Images:
        rng = np.random.default_rng((self.seed, epoch, step, place))
        return to_pixels(augmented(self.split.images, number, self.recipe, rng))


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(number: int) -> None:
    torch.set_num_threads(1)


def augment(
    images: Images,
    chosen: npt.NDArray[np.int64],
    recipe: Recipe,
    rng: np.random.Generator,
    own: slice = slice(None),
) -> Images:
    """The chosen images of a batch, randomly shifted and mirrored: a single gather over all of them.

    Only those that `own` selects are returned; they are as they would be in the whole batch.
    """
    if not (recipe.flip or recipe.shift):
        return images[chosen[own]]
    size, count = images.shape[1], len(chosen)
    rows, columns = (
        np.clip(np.arange(size) + rng.integers(-recipe.shift, recipe.shift + 1, (count, 1)), 0, size - 1)
        for _ in range(2)
    )
    if recipe.flip:
        columns = np.where(rng.random((count, 1)) < 0.5, columns[:, ::-1], columns)
    moved: Images = images[chosen[own, None, None], rows[own, :, None], columns[own, None, :]]
    return moved


class ToInput:
    """Pixels to what a network takes: uint8 (N, size, size, channels) -> normalised float (N, channels, size, size)."""

    def __init__(self, dataset: Dataset, device: torch.device, channels_last: bool) -> None:
        scale, offset = dataset.scale_and_offset()
        self.scale, self.offset = (torch.from_numpy(values).to(device)[:, None, None] for values in (scale, offset))
        self.device = device
        self.format = torch.channels_last if channels_last else torch.contiguous_format

    def __call__(self, images: Images) -> Tensor:
        writable = np.require(images, requirements=["C", "W"])  # torch warns about read-only arrays
        pixels = torch.from_numpy(writable).to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        return torch.addcmul(self.offset, pixels.float(), self.scale).contiguous(memory_format=self.format)
