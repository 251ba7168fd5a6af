"""Any folder of pictures as a data set: one sub-folder a class, with or without ready-made parts."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mnascli.data.dataset import DataError, Labels
from mnascli.data.picture import SUFFIXES
from mnascli.data.source import PART_NAMES, Source, without_test
from mnascli.errors import UsageError

# What ImageNet's tools and others call the file that says what the folders mean, a line a folder: `n01440764 tench`.
NAME_FILES = ("classes.txt", "LOC_synset_mapping.txt", "synset_words.txt")


@dataclass(frozen=True)
class Files:
    """Picture files below a folder; paths as bytes in one array, which a million of them and forked workers need."""

    root: str
    paths: npt.NDArray[np.bytes_]
    labels: Labels

    def read(self, number: int) -> bytes:
        return Path(self.name(number)).read_bytes()

    def name(self, number: int) -> str:
        return str(Path(self.root, os.fsdecode(self.paths[number])))


def find(root: Path, report: Callable[[str], None]) -> Source:
    """The pictures below `root`.

    Raises UsageError for what is no folder, DataError naming the folder: no classes, one class, an empty class, classes
    that differ between parts.
    """
    if not root.is_dir():
        raise UsageError(f"{root}: not a folder: give a folder of images with one sub-folder a class")
    ready = {part: root / name for part, names in PART_NAMES.items() for name in names if (root / name).is_dir()}
    if "train" not in ready:
        ready = {"train": root}
    elif without_test(list(ready)):
        ready["test"] = ready.pop("validation")
        report(f"{root}: no test part, so {ready['test'].name} is the test part; validation is held out of train")
    folders = _sub_folders(ready["train"])
    if len(folders) < 2:
        found = f"one class only ({folders[0]})" if folders else "no sub-folders"
        raise DataError(f"{ready['train']}: {found}: at least two classes are needed, each a sub-folder of images")
    classes = _names(root, folders)
    state = blake2b(repr((str(root.resolve()), classes)).encode(), digest_size=16)
    parts = {}
    for part, folder in ready.items():
        if different := set(folders) ^ set(_sub_folders(folder)):
            name = min(different)
            where = "has no" if name in folders else "has a class that train has not:"
            raise DataError(f"{folder}: {where} {name}: all parts need the same classes")
        paths: list[bytes] = []
        labels: list[int] = []
        for label, name in enumerate(folders):
            before = len(paths)
            for path, size, changed in sorted(_pictures(str(folder / name))):
                paths.append(os.fsencode(os.path.relpath(path, root)))
                state.update(b"%s %d %d\n" % (paths[-1], size, changed))
            labels += [label] * (len(paths) - before)
            if len(paths) == before:
                raise DataError(f"{folder / name}: no images: put some there, or remove the folder")
        parts[part] = Files(str(root), np.array(paths), np.array(labels, np.int64))
    return Source(root.resolve().name, str(root), tuple(classes), parts, state.hexdigest())


def _sub_folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _pictures(folder: str) -> Iterator[tuple[str, int, int]]:
    """Path, size in bytes and time of change of each picture below a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):  # a link up the tree would never end
                yield from _pictures(entry.path)
            elif Path(entry.name).suffix.lower() in SUFFIXES and not entry.name.startswith(".") and entry.is_file():
                stat = entry.stat()
                yield entry.path, stat.st_size, stat.st_mtime_ns


def _names(root: Path, folders: list[str]) -> list[str]:
    """What the classes are called: by a file of names in the folder, or as the sub-folders."""
    file = next((root / name for name in NAME_FILES if (root / name).is_file()), None)
    if file is None:
        return folders
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as text: {error}") from error
    named = {match[1]: match[2].strip() for line in lines if (match := re.match(r"(\S+)\s+(\S.*)", line))}
    if missing := [folder for folder in folders if folder not in named]:
        raise DataError(f"{file}: no line for the folder {missing[0]}: each line is a folder, a blank and its name")
    names = [named[folder] for folder in folders]
    # ImageNet has two classes that are called crane.
    times = Counter(names)
    return [f"{name} ({folder})" if times[name] > 1 else name for name, folder in zip(names, folders, strict=True)]
