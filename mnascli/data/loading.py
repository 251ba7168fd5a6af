"""From what the user types after --data to a data set."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mnascli.data import bundled, cache, fashion, folder, hub, tars
from mnascli.data.checking import Report
from mnascli.data.dataset import Dataset, Images, Labels, Split, chunks, from_arrays
from mnascli.data.picture import MODES, centre, cut_image, to_pixels
from mnascli.data.preparing import OnBroken, prepare
from mnascli.data.source import Source
from mnascli.errors import UsageError

BUNDLED_NAME = "fashion-mnist-10k"
FULL_NAME = "fashion-mnist"


def to_stderr(line: str) -> None:
    """The default way to tell the user what is being prepared and what was skipped."""
    print(line, file=sys.stderr)


def load(
    spec: str,
    *,
    size: int,
    channels: int | None = None,
    crop: float = 1.0,
    stream: bool | None = None,
    on_broken: OnBroken = "skip",
    report: Report = to_stderr,
) -> Dataset:
    """The data set that `spec` names, as images of `size` x `size` pixels with 1 (greyscale) or 3 (RGB) channels.

    `channels` None takes the data's own: 1 for Fashion-MNIST, 3 for all others.

    `spec` is `fashion-mnist-10k` (bundled), `fashion-mnist` (where Debian installs it), `fashion-mnist:FOLDER`,
    `wds:PATTERN` (tar shards), `hf:NAME` (Hugging Face), or a folder of images: one sub-folder a class, or `train`,
    maybe `validation` and `test`, with the classes below them. Of each picture the centre square is taken, and of that
    the share `crop` of each side.

    What fits is decoded once, into the user's cache, and memory-mapped from there. What is larger than that is decoded
    whenever it is needed, and so is all with `stream`, which keeps the whole pictures in reach of random crops.
    `report` gets a line for each broken image that is skipped; `on_broken="stop"` raises DataError instead.

    Raises UsageError for a spec, size or channels that cannot be, DataError for images that cannot be used.
    """
    kind, _, place = spec.partition(":")
    if channels is None:
        channels = 1 if kind in (BUNDLED_NAME, FULL_NAME) else 3
    if channels not in MODES:
        raise UsageError(f"images of {channels} channels: only 1 (greyscale) and 3 (RGB) can be made")
    if size < 1:
        raise UsageError(f"images of {size} pixels: 1 or more are needed")
    if spec == BUNDLED_NAME:
        if (size, channels, crop) == (28, 1, 1.0):
            return from_arrays(BUNDLED_NAME, fashion.CLASSES, bundled.read_bundled())
        return _resized(BUNDLED_NAME, [bundled.BUNDLED], size, channels, crop, report)
    if spec == FULL_NAME or (kind == FULL_NAME and place):
        four = Path(place) if place else fashion.DEBIAN_FOLDER
        return _resized(FULL_NAME, [four / file for file in fashion.FILES], size, channels, crop, report)
    return prepare(find(spec, report), size, channels, crop, stream, on_broken, report)


def find(spec: str, report: Report = to_stderr) -> Source:
    """The pictures that a folder, `wds:PATTERN` or `hf:NAME` names. Raises UsageError and DataError as `load` does."""
    kind, _, place = spec.partition(":")
    if place and kind in ("wds", "hf"):
        return tars.find(place, report) if kind == "wds" else hub.find(place, report)
    if not Path(spec).exists():
        raise UsageError(
            f"no data set or folder called {spec!r}: give {BUNDLED_NAME}, {FULL_NAME}, {FULL_NAME}:FOLDER, "
            "wds:PATTERN, hf:NAME or a folder of images with one sub-folder a class"
        )
    return folder.find(Path(spec), report)


def class_names(spec: str) -> tuple[str, tuple[str, ...]]:
    """The name and the classes of the data set that `spec` names, with no look at its pictures. Raises as `load`."""
    kind = spec.partition(":")[0]
    if kind in (BUNDLED_NAME, FULL_NAME):
        return kind, fashion.CLASSES
    source = find(spec, report=lambda line: None)
    return source.name, source.classes


def _resized(name: str, files: Sequence[Path], size: int, channels: int, crop: float, report: Report) -> Dataset:
    """Fashion-MNIST out of `files` at another size or with its grey repeated as RGB, through the cache."""
    place = files[0].parent
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    entry = cache.entry([name, str(place.resolve()), stats, size, channels, crop])
    dataset = cache.read(entry)
    if dataset is None:
        parts = bundled.read_bundled() if name == BUNDLED_NAME else fashion.read_fashion(place)
        report(f"{name}: preparing {sum(len(part.labels) for part in parts)} images; this is done once")
        resized = [_resize(part, size, channels, crop) for part in parts]
        dataset = cache.write(entry, name, fashion.CLASSES, size, channels, [], resized)
    return dataset


def _resize(part: Split, size: int, channels: int, crop: float) -> Iterator[tuple[Images, Labels]]:
    for images, labels in zip(chunks(part.images), chunks(part.labels), strict=True):
        if images.shape[1:] != (size, size, channels) or crop < 1:
            pictures = (Image.fromarray(image[..., 0]) for image in images)
            images = np.stack([to_pixels(cut_image(one, centre(crop), size, channels)) for one in pictures])
        yield images, labels
