"""Images decoded once, kept as plain uint8 files in the user's cache folder, and memory-mapped by every process.

A cache entry is a folder: train.u8, validation.u8, test.u8 (images in a row), the labels as .npy, and about.json. It is
written under another name and renamed when complete, so that an entry is never found half written.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mnascli.data.arrays import DataError, Images, Labels
from mnascli.data.dataset import PARTS, Dataset, Split, Statistics, content_hash
from mnascli.data.split import digest
from mnascli.errors import reason
from mnascli.user_dirs import cache_home

VERSION = 4  # goes up when the same source gives different pixels or parts
REPORT_EVERY_S = 15.0

NONE = np.zeros(0, np.int64)
Part = Iterable[tuple[Images, Labels]]


def entry(key: Any) -> Path:
    """The folder of the entry that belongs to `key`, anything that JSON can write; it need not exist."""
    text = json.dumps([VERSION, key], sort_keys=True)
    return cache_home() / "data" / digest(text.encode()).hex()


def read(folder: Path) -> Dataset | None:
    """The data set of an entry, memory-mapped; None if there is no complete one."""
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        parts = {part: _read_split(folder, part, about["size"], about["channels"]) for part in PARTS}
        return Dataset(
            name=about["name"],
            classes=tuple(about["classes"]),
            **parts,
            mean=tuple(about["mean"]),
            std=tuple(about["std"]),
            hash=about["hash"],
            skipped=tuple(about["skipped"]),
            source="",
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(
    folder: Path,
    name: str,
    classes: Sequence[str],
    size: int,
    channels: int,
    skipped: Sequence[str],
    parts: Sequence[Part],
    hash: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Dataset:
    """Fill an entry and read it.

    `parts` are the `PARTS`, each chunks of images (n, size, size, channels) with their labels (n,).
    `hash` stands for the content; None computes it from the pixels. `report` is called with the progress.
    Raises DataError if the cache cannot be written.
    """
    done, told = 0, time.monotonic()
    with building(folder, lambda: read(folder) is not None) as place:
        statistics, counted = Statistics(channels), ""
        for part_name, part in zip(PARTS, parts, strict=True):
            with _Writer(place, part_name) as writer:
                for images, labels in part:
                    writer.add(images, labels)
                    done += len(labels)
                    if time.monotonic() - told > REPORT_EVERY_S:
                        told = time.monotonic()
                        report(f"{name}: {done} images prepared")
                    if counted in ("", part_name):  # train, or if that is missing the first one
                        statistics.add(images)
                        counted = part_name
        splits = [_read_split(place, part, size, channels) for part in PARTS]
        mean, std = statistics.mean_and_std()
        about = {
            "name": name,
            "classes": list(classes),
            "size": size,
            "channels": channels,
            "mean": mean,
            "std": std,
            "hash": hash or content_hash(classes, splits),
            "skipped": list(skipped),
        }
        (place / "about.json").write_text(json.dumps(about), encoding="utf-8")
    dataset = read(folder)
    if dataset is None:
        raise DataError(f"{folder}: was changed while it was being read: delete it and try again")
    return dataset


@contextmanager
def building(folder: Path, is_whole: Callable[[], bool]) -> Iterator[Path]:
    """A folder to write an entry in, which becomes `folder` when the context ends without an error.

    `is_whole` says whether what is at `folder` can be used. Raises DataError if the cache cannot be written.
    """
    place = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix="building-", dir=folder.parent))
        yield place
        _publish(place, folder, is_whole)
    except OSError as error:
        raise DataError(
            f"{folder.parent}: prepared images cannot be written: {reason(error)}: "
            "free some space there, or set MNAS_CACHE_HOME to another folder"
        ) from error
    finally:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Like np.save, which writes through its own C file and so does not notice that a small array did not fit."""
    data = io.BytesIO()
    np.save(data, array)
    path.write_bytes(data.getvalue())


class _Writer:
    """The two files of one part."""

    def __init__(self, folder: Path, part: str) -> None:
        self.images = folder / f"{part}.u8"
        self.labels: list[Labels] = []

    def __enter__(self) -> _Writer:
        self.file = self.images.open("wb")
        return self

    def add(self, images: Images, labels: Labels) -> None:
        self.file.write(images.tobytes())
        self.labels.append(labels)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.file.close()
        if kind is None:
            write_array(self.images.with_suffix(".npy"), np.concatenate([NONE, *self.labels]))


def _publish(place: Path, folder: Path, is_whole: Callable[[], bool]) -> None:
    try:
        if folder.exists() and not is_whole():
            shutil.rmtree(folder)  # damaged: one of its files was deleted or cut
        place.rename(folder)
    except OSError:
        # Another process with the same task was first: its entry is as good as ours.
        if not is_whole():
            raise


def _read_split(folder: Path, part: str, size: int, channels: int) -> Split:
    labels = np.load(folder / f"{part}.npy")
    images = folder / f"{part}.u8"
    shape = (len(labels), size, size, channels)
    if images.stat().st_size != np.prod(shape, dtype=np.int64):
        raise ValueError(f"{images}: wrong size")
    if len(labels) == 0:  # an empty file cannot be mapped
        return Split(np.empty(shape, np.uint8), labels)
    return Split(np.memmap(images, np.uint8, "r", shape=shape), labels)
