"""What a data set is to the rest of mnas: four parts of uint8 images with labels, and their normalisation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mnascli.data.arrays import Floats, Images, Labels

if TYPE_CHECKING:
    from mnascli.data.streamed import StreamedImages

PARTS = ("train", "validation", "test", "selection")
CHUNK = 4096  # images that are summed or hashed at a time
SMALLEST_STD = 1 / 255  # of a channel that is the same everywhere, so that one can divide by it


class Split(NamedTuple):
    """One part: images (N, size, size, channels) and labels (N,) from 0 to classes - 1.

    Images may be memory-mapped, or decoded on access if they are larger than memory: take slices of them.
    """

    images: Images | StreamedImages
    labels: Labels


@dataclass(frozen=True)
class Dataset:
    """A data set, ready to train on.

    `validation` is what a search learns from, `selection` is used only for the choice between its finalists, `test` for
    no decision. `mean` and `std` are one value per channel, of pixels from 0 to 1, over the training part. `hash`
    stands for the content of all parts, so for the split too. `skipped` names the broken images that were left out.
    `source` is what `load` takes to open it again, from any working directory; empty if it was made in memory.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    selection: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    hash: str
    skipped: tuple[str, ...] = ()
    source: str = ""

    @property
    def size(self) -> int:
        """Height and width of the images in pixels."""
        return int(self.train.images.shape[1])

    @property
    def channels(self) -> int:
        """1 for greyscale, 3 for RGB."""
        return int(self.train.images.shape[3])

    def normalise(self, images: Images) -> Floats:
        """Float images as networks take them: (pixel / 255 - mean) / std. Same shape, NHWC."""
        scale, offset = self.scale_and_offset()
        return images * scale + offset

    def scale_and_offset(self) -> tuple[Floats, Floats]:
        """The normalisation as pixel * scale + offset, each (channels,), of pixels from 0 to 255."""
        mean, std = np.array(self.mean), np.array(self.std)
        return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)


def from_arrays(name: str, classes: Sequence[str], parts: Sequence[Split]) -> Dataset:
    """A data set of the `PARTS` as they are in memory, with its statistics and hash computed."""
    statistics = Statistics(parts[0].images.shape[3])
    for images in chunks(parts[0].images):
        statistics.add(images)
    mean, std = statistics.mean_and_std()
    train, validation, test, selection = parts
    return Dataset(name, tuple(classes), train, validation, test, selection, mean, std, content_hash(classes, parts))


class Statistics:
    """Mean and standard deviation per channel of images that come in chunks; exact, because pixels are counted."""

    def __init__(self, channels: int) -> None:
        self.counts = np.zeros((channels, 256), np.int64)

    def add(self, images: Images) -> None:
        """Count the pixels of (N, height, width, channels)."""
        for channel, counts in enumerate(self.counts):
            counts += np.bincount(images[..., channel].ravel(), minlength=256)

    def mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of pixels from 0 to 1."""
        values = np.arange(256) / 255
        totals = self.counts.sum(1)
        mean = self.counts @ values / totals
        variance = self.counts @ values**2 / totals - mean**2
        std = np.sqrt(np.maximum(variance, SMALLEST_STD**2))
        return tuple(mean.tolist()), tuple(std.tolist())


def content_hash(classes: Sequence[str], parts: Iterable[Split]) -> str:
    """Hexadecimal, of class names, shapes, images and labels, part by part."""
    state = blake2b("\0".join(classes).encode(), digest_size=16)
    for part in parts:
        state.update(repr(part.images.shape).encode())
        for images in chunks(part.images):
            state.update(np.ascontiguousarray(images).data)
        state.update(np.ascontiguousarray(part.labels, np.dtype("<i8")).data)
    return state.hexdigest()


def chunks(array: npt.NDArray[Any] | StreamedImages) -> Iterable[npt.NDArray[Any]]:
    """`array` in pieces of CHUNK along its first axis."""
    return (array[start : start + CHUNK] for start in range(0, len(array), CHUNK))
