"""Any folder of pictures as a data set: one sub-folder a class, with or without ready-made parts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from mnascli.data import cache
from mnascli.data.dataset import PARTS, DataError, Dataset, Images, Labels
from mnascli.data.picture import SUFFIXES, BrokenPictureError, decode
from mnascli.data.split import digest, divide
from mnascli.errors import UsageError

T = TypeVar("T")
OnBroken = Literal["skip", "stop"]
Report = Callable[[str], None]

# A folder with a `train` in it has ready-made parts.
PART_NAMES = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}
HELD_OUT = 0.15  # of each class, for validation, and as much for test, where there is no ready-made part
REPAIR = ": repair or remove it, or have broken images skipped"
CHUNK = 256  # pictures decoded between two writes


@dataclass(frozen=True)
class Picture:
    """A file, and the number of its class."""

    path: Path
    label: int


def load_folder(root: Path, size: int, channels: int, on_broken: OnBroken, report: Report) -> Dataset:
    """See `mnascli.data.load`."""
    if not root.is_dir():
        raise UsageError(f"{root}: not a folder: give a folder of images with one sub-folder a class")
    classes, parts, files = find(root, report)
    listing = [(str(path.relative_to(root)), stat.st_size, stat.st_mtime_ns) for path, stat in files]
    place = cache.entry(["folder", str(root.resolve()), listing, size, channels])
    dataset = cache.read(place)
    if dataset is None:
        report(f"{root}: preparing {len(files)} images; this is done once")

        def make(skipped: list[str]) -> list[Iterator[tuple[Images, Labels]]]:
            whole = [_whole(pictures, classes, root, on_broken, skipped, report) for pictures in parts.values()]
            divided = _divide(dict(zip(parts, whole, strict=True)), classes, root)
            return [_decode(divided[part], size, channels) for part in PARTS]

        dataset = cache.write(place, root.resolve().name, classes, size, channels, make)
    elif dataset.skipped and on_broken == "stop":
        raise DataError(dataset.skipped[0] + REPAIR)
    return dataset


def find(root: Path, report: Report) -> tuple[list[str], dict[str, list[Picture]], list[tuple[Path, os.stat_result]]]:
    """Class names, the pictures of each ready-made part ('train' alone where there is none), and all files.

    Raises DataError naming the folder: no classes, one class, an empty class, classes that differ between parts.
    """
    ready = {part: root / name for part, names in PART_NAMES.items() for name in names if (root / name).is_dir()}
    if "train" not in ready:
        ready = {"train": root}
    elif "validation" in ready and "test" not in ready:
        # As ImageNet is used: what is published as `val` measures the final network, so the search must not see it.
        ready["test"] = ready.pop("validation")
        report(f"{root}: no test part, so {ready['test'].name} is the test part; validation is held out of train")
    classes = _sub_folders(ready["train"])
    if len(classes) < 2:
        found = f"one class only ({classes[0]})" if classes else "no sub-folders"
        raise DataError(f"{ready['train']}: {found}: at least two classes are needed, each a sub-folder of images")
    parts: dict[str, list[Picture]] = {}
    files: list[tuple[Path, os.stat_result]] = []
    for part, folder in ready.items():
        if different := set(classes) ^ set(_sub_folders(folder)):
            name = min(different)
            where = "has no" if name in classes else "has a class that train has not:"
            raise DataError(f"{folder}: {where} {name}: all parts need the same classes")
        parts[part] = []
        for label, name in enumerate(classes):
            paths = _pictures(folder / name)
            if not paths:
                raise DataError(f"{folder / name}: no images: put some there, or remove the folder")
            parts[part] += [Picture(path, label) for path in paths]
            files += [(path, path.stat()) for path in paths]
    return classes, parts, files


def _sub_folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _pictures(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def _whole(
    pictures: Sequence[Picture],
    classes: Sequence[str],
    root: Path,
    on_broken: OnBroken,
    skipped: list[str],
    report: Report,
) -> dict[Picture, bytes]:
    """The pictures that can be decoded, each with the digest of its file; the others are reported, or stop all."""

    def check(picture: Picture) -> bytes | str:
        try:
            data = picture.path.read_bytes()
            decode(data, 1, 1)
            return digest(data)
        except (BrokenPictureError, OSError) as error:
            return f"{picture.path}: broken image: {error}"

    whole: dict[Picture, bytes] = {}
    for picture, outcome in _in_threads(check, pictures):
        if isinstance(outcome, bytes):
            whole[picture] = outcome
        elif on_broken == "stop":
            raise DataError(outcome + REPAIR)
        else:
            skipped.append(outcome)
            report(f"{outcome}: skipped")
    if empty := set(range(len(classes))) - {picture.label for picture in whole}:
        raise DataError(f"{root}: class {classes[min(empty)]}: none of its images can be read")
    return whole


def _divide(parts: dict[str, dict[Picture, bytes]], classes: Sequence[str], root: Path) -> dict[str, list[Picture]]:
    """Train, validation and test: the ready-made ones, and what is missing held out of train."""
    missing = [part for part in PARTS if part not in parts]
    digests = list(parts["train"].values())
    pictures = list(parts["train"])
    labels = [picture.label for picture in pictures]
    divided = {part: list(whole) for part, whole in parts.items()}
    if missing:
        of_class = Counter(label for _, label in set(zip(digests, labels, strict=True)))
        different = [of_class[label] for label in range(len(classes))]
        for count, name in zip(different, classes, strict=True):
            if count <= len(missing):
                raise DataError(
                    f"{root}: class {name} has {count} different images: too few to split into "
                    f"train, {' and '.join(missing)}: add images or remove the class"
                )
        sizes = {label: [max(1, round(HELD_OUT * count))] * len(missing) for label, count in enumerate(different)}
        held_out = divide(digests, labels, sizes)
        for part, indices in zip([*missing, "train"], held_out, strict=True):
            divided[part] = [pictures[index] for index in indices]
    return divided


def _decode(pictures: Sequence[Picture], size: int, channels: int) -> Iterator[tuple[Images, Labels]]:
    chunk: list[tuple[Picture, Images]]
    decoded = _in_threads(lambda picture: decode(picture.path.read_bytes(), size, channels), pictures)
    while chunk := list(islice(decoded, CHUNK)):
        yield np.stack([image for _, image in chunk]), np.array([picture.label for picture, _ in chunk])


def _in_threads(work: Callable[[Picture], T], pictures: Sequence[Picture]) -> Iterator[tuple[Picture, T]]:
    """Each picture with the result of `work`, in order; Pillow decodes outside the interpreter's lock."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(pictures), CHUNK):
            chunk = pictures[start : start + CHUNK]
            yield from zip(chunk, pool.map(work, chunk), strict=True)
