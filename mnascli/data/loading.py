"""From what the user types after --data to a data set."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mnascli.data import bundled, cache, fashion
from mnascli.data.dataset import Dataset, Images, Labels, Split, chunks, from_arrays
from mnascli.data.folder import OnBroken, Report, load_folder
from mnascli.data.picture import MODES, to_pixels
from mnascli.errors import UsageError

BUNDLED_NAME = "fashion-mnist-10k"
FULL_NAME = "fashion-mnist"


def to_stderr(line: str) -> None:
    """The default way to tell the user what is being prepared and what was skipped."""
    print(line, file=sys.stderr)


def load(
    spec: str, *, size: int, channels: int | None = None, on_broken: OnBroken = "skip", report: Report = to_stderr
) -> Dataset:
    """The data set that `spec` names, as images of `size` x `size` pixels with 1 (greyscale) or 3 (RGB) channels.

    `channels` None takes the data's own: 1 for Fashion-MNIST, 3 for folders.

    `spec` is `fashion-mnist-10k` (bundled), `fashion-mnist` (where Debian installs it), `fashion-mnist:FOLDER`, or a
    folder of images: one sub-folder a class, or `train`, maybe `validation` and `test`, with the classes below them.
    What is not as it will be used is decoded and resized once, into the user's cache, and memory-mapped from there.
    `report` gets a line for each broken image that is skipped; `on_broken="stop"` raises DataError instead.

    Raises UsageError for a spec, size or channels that cannot be, DataError for images that cannot be used.
    """
    name, _, place = spec.partition(":")
    if channels is None:
        channels = 1 if name in (BUNDLED_NAME, FULL_NAME) else 3
    if channels not in MODES:
        raise UsageError(f"images of {channels} channels: only 1 (greyscale) and 3 (RGB) can be made")
    if size < 1:
        raise UsageError(f"images of {size} pixels: 1 or more are needed")
    if spec == BUNDLED_NAME:
        if (size, channels) == (28, 1):
            return from_arrays(BUNDLED_NAME, fashion.CLASSES, bundled.read_bundled())
        return _resized(BUNDLED_NAME, [bundled.BUNDLED], size, channels, report)
    if spec == FULL_NAME or (name == FULL_NAME and place):
        folder = Path(place) if place else fashion.DEBIAN_FOLDER
        return _resized(FULL_NAME, [folder / file for file in fashion.FILES], size, channels, report)
    if not Path(spec).exists():
        raise UsageError(
            f"no data set or folder called {spec!r}: give {BUNDLED_NAME}, {FULL_NAME}, {FULL_NAME}:FOLDER "
            "or a folder of images with one sub-folder a class"
        )
    return load_folder(Path(spec), size, channels, on_broken, report)


def _resized(name: str, files: Sequence[Path], size: int, channels: int, report: Report) -> Dataset:
    """Fashion-MNIST out of `files` at another size or with its grey repeated as RGB, through the cache."""
    folder = files[0].parent
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    place = cache.entry([name, str(folder.resolve()), stats, size, channels])
    dataset = cache.read(place)
    if dataset is None:
        parts = bundled.read_bundled() if name == BUNDLED_NAME else fashion.read_fashion(folder)
        report(f"{name}: preparing {sum(len(part.labels) for part in parts)} images; this is done once")
        resized = [_resize(part, size, channels) for part in parts]
        dataset = cache.write(place, name, fashion.CLASSES, size, channels, lambda skipped: resized)
    return dataset


def _resize(part: Split, size: int, channels: int) -> Iterator[tuple[Images, Labels]]:
    for images, labels in zip(chunks(part.images), chunks(part.labels), strict=True):
        if images.shape[1:] != (size, size, channels):
            images = np.stack([to_pixels(Image.fromarray(image[..., 0]), size, channels) for image in images])
        yield images, labels
