"""Images decoded once, kept as plain uint8 files in the user's cache folder, and memory-mapped by every process.

A cache entry is a folder: train.u8, validation.u8, test.u8 (images in a row), the labels as .npy, and about.json. It is
written under another name and renamed when complete, so that whoever finds one finds all of it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnascli.data.dataset import PARTS, DataError, Dataset, Images, Labels, Split, Statistics, content_hash
from mnascli.data.split import digest
from mnascli.errors import MnasError
from mnascli.user_dirs import cache_home

VERSION = 1  # goes up when the same source gives other pixels

Part = Iterable[tuple[Images, Labels]]


def entry(key: Any) -> Path:
    """The folder of the entry that belongs to `key`, anything that JSON can write; it need not exist."""
    text = json.dumps([VERSION, key], sort_keys=True)
    return cache_home() / "data" / digest(text.encode()).hex()


def read(folder: Path) -> Dataset | None:
    """The data set of an entry, memory-mapped; None where there is no complete one."""
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        train, validation, test = (_read_split(folder, part, about["size"], about["channels"]) for part in PARTS)
        return Dataset(
            name=about["name"],
            classes=tuple(about["classes"]),
            train=train,
            validation=validation,
            test=test,
            mean=tuple(about["mean"]),
            std=tuple(about["std"]),
            hash=about["hash"],
            skipped=tuple(about["skipped"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(
    folder: Path,
    name: str,
    classes: Sequence[str],
    size: int,
    channels: int,
    make: Callable[[list[str]], Sequence[Part]],
) -> Dataset:
    """Fill an entry and read it.

    `make` is given a list to put the names of skipped images in, and returns the three parts, each chunks of images
    (n, size, size, channels) with their labels (n,). Raises MnasError if the cache cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix="building-", dir=folder.parent))
    except OSError as error:
        raise _cannot_write(folder, error) from error
    try:
        skipped: list[str] = []
        statistics = Statistics(channels)
        for part_name, part in zip(PARTS, make(skipped), strict=True):
            with _Writer(building, part_name) as writer:
                for images, labels in part:
                    writer.add(images, labels)
                    if part_name == "train":
                        statistics.add(images)
        splits = [_read_split(building, part, size, channels) for part in PARTS]
        mean, std = statistics.mean_and_std()
        about = {
            "name": name,
            "classes": list(classes),
            "size": size,
            "channels": channels,
            "mean": mean,
            "std": std,
            "hash": content_hash(classes, splits),
            "skipped": skipped,
        }
        _write_about(building, about)
        _publish(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    dataset = read(folder)
    if dataset is None:
        raise MnasError(f"{folder}: was changed while it was being read: delete it and try again")
    return dataset


class _Writer:
    """The two files of one part."""

    def __init__(self, folder: Path, part: str) -> None:
        self.images = folder / f"{part}.u8"
        self.labels: list[Labels] = []

    def __enter__(self) -> _Writer:
        self.file = self.images.open("wb")
        return self

    def add(self, images: Images, labels: Labels) -> None:
        try:
            self.file.write(images.tobytes())
        except OSError as error:
            raise _cannot_write(self.images, error) from error
        self.labels.append(labels)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.file.close()
            if kind is None:
                np.save(self.images.with_suffix(".npy"), np.concatenate(self.labels).astype(np.int64))
        except OSError as error:
            raise _cannot_write(self.images, error) from error


def _write_about(building: Path, about: dict[str, Any]) -> None:
    try:
        (building / "about.json").write_text(json.dumps(about), encoding="utf-8")
    except OSError as error:
        raise _cannot_write(building, error) from error


def _publish(building: Path, folder: Path) -> None:
    try:
        if folder.exists() and read(folder) is None:
            shutil.rmtree(folder)  # damaged: a file of it was deleted or cut
        building.rename(folder)
    except OSError as error:
        # Another process that wanted the same was first: its entry is as good as ours.
        if read(folder) is None:
            raise _cannot_write(folder, error) from error


def _read_split(folder: Path, part: str, size: int, channels: int) -> Split:
    labels = np.load(folder / f"{part}.npy")
    images = folder / f"{part}.u8"
    shape = (len(labels), size, size, channels)
    if images.stat().st_size != np.prod(shape, dtype=np.int64):
        raise ValueError(f"{images}: wrong size")
    return Split(np.memmap(images, np.uint8, "r", shape=shape), labels)


def _cannot_write(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path.parent}: prepared images cannot be written: {error.strerror or error}: "
        "make room there, or set MNAS_CACHE_HOME to another folder"
    )
