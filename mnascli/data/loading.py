"""From what the user types after --data to a data set."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from mnascli import paths
from mnascli.data import bundled, cache, fashion, folder, hub, tars
from mnascli.data.arrays import DataError, Images, Labels
from mnascli.data.checking import Report
from mnascli.data.dataset import Dataset, Split, chunks, from_arrays
from mnascli.data.naming import class_names, is_fit, shown
from mnascli.data.picture import MODES, centre, cut_image, to_pixels
from mnascli.data.preparing import OnBroken, prepare
from mnascli.data.source import Source
from mnascli.errors import UsageError, reason

BUNDLED_NAME = "fashion-mnist-10k"
FULL_NAME = "fashion-mnist"
SHIPPED = (BUNDLED_NAME, FULL_NAME)  # names that mean the same pictures on every machine


@functools.cache
def to_stderr(line: str) -> None:
    """The default way to tell the user what is being prepared and what was skipped; each line once per process."""
    print(line, file=sys.stderr)


def load(
    spec: str,
    *,
    size: int,
    channels: int | None = None,
    crop: float = 1.0,
    stream: bool | None = None,
    on_broken: OnBroken = "skip",
    test_only: bool = False,
    report: Report = to_stderr,
) -> Dataset:
    """The data set that `spec` names, as images of `size` x `size` pixels with 1 (greyscale) or 3 (RGB) channels.

    `channels` None takes the data's own: 1 for Fashion-MNIST, 3 for all others.

    `spec` is `fashion-mnist-10k` (bundled), `fashion-mnist` (where Debian installs it), `fashion-mnist:FOLDER`,
    `wds:PATTERN` (tar shards), `hf:NAME` (Hugging Face), or a folder of images: one sub-folder a class, or `train`,
    perhaps `validation` and `test`, with the classes below them. The centre square of each picture is taken, and the
    share `crop` of each side of that.

    What fits is decoded once, into the user's cache, and memory-mapped from there. Anything larger is decoded whenever
    it is needed, as is everything with `stream`, which keeps whole pictures available for random crops.
    With `test_only` the other parts may be missing, and are empty then.
    `report` gets a line for each broken image that is skipped; `on_broken="stop"` raises DataError instead.

    Raises UsageError for an invalid spec, size or channels, DataError for images that cannot be used.
    """
    named = from_anywhere(spec)
    channels = channels_of(spec, size, channels)
    files = fashion_files(spec)
    if files is None:
        source = find(spec, report, test_only=test_only)
        dataset = prepare(source, size, channels, crop, stream, on_broken, report)
    elif spec == BUNDLED_NAME and (size, channels, crop) == (28, 1, 1.0):
        dataset = from_arrays(BUNDLED_NAME, fashion.CLASSES, bundled.read_bundled())
    else:
        dataset = _resized(spec.partition(":")[0], files, size, channels, crop, report)
    return replace(dataset, source=named)


def from_anywhere(spec: str) -> str:
    """The same data, named so that the working directory does not matter.

    Raises UsageError for a name that does not fit into a line of text.
    """
    kind, _, place = spec.partition(":")
    if place and (kind in ("wds", FULL_NAME) or (kind == "hf" and paths.exists(Path(place)))):
        named = f"{kind}:{Path(place).resolve()}"
    else:
        named = spec if spec in SHIPPED or (place and kind == "hf") else str(Path(spec).resolve())
    if not is_fit(named):
        raise UsageError(f"{shown(named)}: control characters or bytes that are not UTF-8 in the name: rename it")
    return named


def is_name(source: str) -> bool:
    """Whether a data set has this name on every machine, and is not a place on this one."""
    return source in SHIPPED or (source.startswith("hf:") and not source.startswith("hf:/"))


def channels_of(spec: str, size: int, channels: int | None) -> int:
    """The channels that pictures are read with. Raises UsageError for an invalid size or channels."""
    if channels is None:
        channels = 1 if spec.partition(":")[0] in (BUNDLED_NAME, FULL_NAME) else 3
    if channels not in MODES:
        raise UsageError(f"images of {channels} channels: only 1 (greyscale) and 3 (RGB) can be made")
    if size < 1:
        raise UsageError(f"images of {size} pixels: 1 or more are needed")
    return channels


def fashion_files(spec: str) -> list[Path] | None:
    """The files of Fashion-MNIST that `spec` names, None if it names other data."""
    kind, _, place = spec.partition(":")
    if spec == BUNDLED_NAME:
        return [bundled.BUNDLED]
    if spec == FULL_NAME or (kind == FULL_NAME and place):
        return [(Path(place) if place else fashion.DEBIAN_FOLDER) / file for file in fashion.FILES]
    return None


def read_files(files: Sequence[Path]) -> list[Split]:
    """The `PARTS` of Fashion-MNIST in its own size and grey. Raises UsageError and DataError naming a file."""
    return list(bundled.read_bundled() if files[0] == bundled.BUNDLED else fashion.read_fashion(files[0].parent))


def find(spec: str, report: Report = to_stderr, *, test_only: bool = False) -> Source:
    """The pictures that a folder, `wds:PATTERN` or `hf:NAME` names. Raises UsageError and DataError as `load` does."""
    source = _find(spec, report)
    if "train" not in source.parts and not test_only:
        raise DataError(
            f"{source.place}: no train part, only {' and '.join(source.parts)}: `mnas evaluate` takes that, everything "
            "else learns from a train part: put one beside it"
        )
    return replace(source, classes=class_names(source.place, source.classes))


def _find(spec: str, report: Report) -> Source:
    kind, _, place = spec.partition(":")
    if place and kind in ("wds", "hf"):
        return tars.find(place, report) if kind == "wds" else hub.find(place, report)
    if not paths.exists(Path(spec)):
        raise UsageError(
            f"no data set or folder called {spec!r}: give {BUNDLED_NAME}, {FULL_NAME}, {FULL_NAME}:FOLDER, "
            "wds:PATTERN, hf:NAME or a folder of images with one sub-folder a class"
        )
    try:
        return folder.find(Path(spec), report)
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read: {reason(error)}") from error


def name_and_classes(spec: str) -> tuple[str, tuple[str, ...]]:
    """The name and the classes of the data set that `spec` names, without looking at its pictures. Raises as `load`."""
    kind = spec.partition(":")[0]
    if kind in (BUNDLED_NAME, FULL_NAME):
        return kind, fashion.CLASSES
    source = find(spec, lambda line: None, test_only=True)
    return source.name, source.classes


def _resized(name: str, files: Sequence[Path], size: int, channels: int, crop: float, report: Report) -> Dataset:
    """Fashion-MNIST from `files` at another size or with its grey repeated as RGB, through the cache."""
    place = files[0].parent
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    entry = cache.entry([name, str(place.resolve()), stats, size, channels, crop])
    dataset = cache.read(entry)
    if dataset is None:
        parts = read_files(files)
        report(f"{name}: preparing {sum(len(part.labels) for part in parts)} images; this is done once")
        resized = [resize(part, size, channels, crop) for part in parts]
        dataset = cache.write(entry, name, fashion.CLASSES, size, channels, [], resized, report=report)
    return dataset


def resize(part: Split, size: int, channels: int, crop: float) -> Iterator[tuple[Images, Labels]]:
    """Grey pictures at another size, in chunks."""
    for images, labels in zip(chunks(part.images), chunks(part.labels), strict=True):
        if images.shape[1:] != (size, size, channels) or crop < 1:
            pictures = (Image.fromarray(image[..., 0]) for image in images)
            images = np.stack([to_pixels(cut_image(one, centre(crop), size, channels)) for one in pictures])
        yield images, labels
