"""Any folder of pictures as a data set: one sub-folder a class, with or without ready-made parts."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mnascli.data.arrays import DataError, Labels
from mnascli.data.naming import class_names, shown
from mnascli.data.picture import PICTURES, SUFFIXES, left_out_in_words
from mnascli.data.source import Source, part_of, parts_called, settle, words_of
from mnascli.errors import UsageError

# What ImageNet's tools and others call the file that says what the folders mean, one per line: `n01440764 tench`.
NAME_FILES = ("classes.txt", "LOC_synset_mapping.txt", "synset_words.txt")

WRAPPINGS = 3  # folders with nothing but a folder in them that are looked through
# From archives, network disks and file managers: attributes, thumbnails.
LEFTOVERS = frozenset(["__MACOSX", "@eaDir", "thumbs.db", "desktop.ini"])


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

    Raises UsageError if it is not a folder, DataError naming the folder: no classes, one class, an empty class, classes
    that differ between parts, sub-folders that may be either.
    """
    if not root.is_dir():
        raise UsageError(f"{root}: not a folder: give a folder of images with one sub-folder a class")
    ready = _parts(root, report)
    first = "train" if "train" in ready else "test"
    by_class = _class_folders(ready[first])
    folders = list(by_class)
    if len(folders) < 2:
        found = f"one class only ({folders[0]})" if folders else "no sub-folders"
        inner = ready[first] / by_class[folders[0]] if folders else None
        hint = f"; give {inner} if the classes are in that" if inner is not None and _sub_folders(inner) else ""
        raise DataError(f"{ready[first]}: {found}: at least two classes are needed, each a sub-folder of images{hint}")
    classes = _names(root, folders)
    state = blake2b(repr((str(root.resolve()), classes)).encode(), digest_size=16)
    parts = {}
    left_out = Counter({"outside of the folders of classes": sum(map(_pictures_in, {root, *ready.values()}))})
    for part, folder in ready.items():
        of_part = by_class if part == first else _class_folders(folder)
        if different := by_class.keys() ^ of_part.keys():
            name = min(different)
            where = "has no" if name in folders else f"has a class that {ready[first].name} does not have:"
            raise DataError(f"{folder}: {where} {name}: all parts need the same classes")
        paths: list[bytes] = []
        labels: list[int] = []
        for label, name in enumerate(folders):
            before = len(paths)
            left_here: Counter[str] = Counter()
            for path, size, changed in sorted(_pictures(str(folder / of_part[name]), left_here)):
                paths.append(os.fsencode(os.path.relpath(path, root)))
                state.update(b"%s %d %d\n" % (paths[-1], size, changed))
            labels += [label] * (len(paths) - before)
            if len(paths) == before:
                there = f" that can be read: {left_out_in_words(left_here)}" if left_here else ""
                raise DataError(f"{folder / of_part[name]}: no images{there}: put some there, or remove the folder")
            left_out += left_here
        parts[part] = Files(str(root), np.array(paths), np.array(labels, np.int64))
    if count := left_out.total():
        report(f"{root}: {count} files were not looked at: {left_out_in_words(left_out)}")
    return Source(root.resolve().name, str(root), tuple(classes), parts, state.hexdigest())


def _parts(root: Path, report: Callable[[str], None]) -> dict[str, Path]:
    """The folders of the parts; the folder itself is the train part if it has no parts but classes.

    Raises DataError if that is ambiguous.
    """
    folders = _sub_folders(root)
    named = parts_called(str(root), [name for name in folders if _holds_classes(root / name)])
    others = [name for name in folders if name not in named.values()]
    if not named or ("train" not in named and any(_pictures_in(root / name) for name in others)):
        _require_no_parts(root, folders)
        return {"train": root}
    if "train" not in named:
        _require_no_parts(root, folders, named.values())
    if others:
        names = ", ".join(map(shown, others))
        report(f"{root}: {names}: not looked at: not named like a part, or without folders of classes")
    return {part: _inner(root / name, part) for part, name in settle(str(root), named, report).items()}


def _require_no_parts(root: Path, folders: Sequence[str], known: Collection[str] = ()) -> None:
    """Raises DataError for two sub-folders that hold the same folders and are not `known` to be parts.

    They may be parts with unusual names, and as classes they would teach which part a picture is from.
    """
    seen: dict[str, str] = {}
    for name in folders:
        below = root / name
        for _ in range(WRAPPINGS):
            if len(inner := _sub_folders(below)) != 1 or _pictures_in(below):
                break
            below /= inner[0]
        shared: dict[str, list[str]] = {}
        for one in inner:
            key = unicodedata.normalize("NFC", one).casefold()
            shared.setdefault(seen.setdefault(key, name), []).append(one)
        for other, same in shared.items():
            if other != name and len(same) > 1 and not {name, other} <= set(known):
                raise DataError(
                    f"{root}: {shown(other)} and {shown(name)} both have the folders "
                    f"{' and '.join(map(shown, same[:2]))}: if they are parts, "
                    "call them train, val and test; if they are classes, put their pictures directly into them"
                )


def _inner(folder: Path, part: str) -> Path:
    """`train/train`, as many archives unpack to, is `train`."""
    folders = _sub_folders(folder)
    again = len(folders) == 1 and not _pictures_in(folder) and part_of(words_of(folders[0])) == part
    return folder / folders[0] if again else folder


def _holds_classes(folder: Path) -> bool:
    """Whether it may be a part: a class that is called train has its pictures directly in it."""
    folders = _sub_folders(folder)
    return bool(folders) and (len(folders) > 1 or not _pictures_in(folder))


def _class_folders(folder: Path) -> dict[str, str]:
    """Class name -> sub-folder. Raises DataError for impossible class names."""
    folders = _sub_folders(folder)
    return dict(zip(class_names(str(folder), folders), folders, strict=True))


def _pictures_in(folder: Path) -> int:
    """How many are directly in it, of any kind."""
    with os.scandir(folder) as entries:
        return sum(Path(one.name).suffix.lower() in PICTURES and not one.name.startswith(".") for one in entries)


def _sub_folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.is_dir() and not entry.name.startswith(".") and entry.name not in LEFTOVERS
        )


def _pictures(folder: str, left_out: Counter[str]) -> Iterator[tuple[str, int, int]]:
    """Path, size in bytes and modification time of each picture below a folder; counts other files by their suffix."""
    with os.scandir(folder) as entries:
        for entry in entries:
            suffix = Path(entry.name).suffix.lower()
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in LEFTOVERS and not entry.name.startswith("."):
                    yield from _pictures(entry.path, left_out)
            elif entry.name.startswith(".") or entry.name.lower() in LEFTOVERS:
                if suffix in PICTURES and not entry.name.startswith("._"):
                    left_out["hidden"] += 1
            elif entry.is_dir():  # a link up the tree would never end
                left_out["links to folders"] += 1
            elif not entry.is_file():
                left_out["broken links"] += 1
            elif suffix in SUFFIXES:
                stat = entry.stat()
                yield entry.path, stat.st_size, stat.st_mtime_ns
            else:
                left_out[suffix or "without a suffix"] += 1


def _names(root: Path, folders: list[str]) -> list[str]:
    """The names of the classes: from a file of names in the folder, or those of the sub-folders."""
    file = next((root / name for name in NAME_FILES if (root / name).is_file()), None)
    if file is None:
        return folders
    try:
        lines = unicodedata.normalize("NFC", file.read_text(encoding="utf-8-sig")).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as text: {error}") from error
    named = {match[1]: " ".join(match[2].split()) for line in lines if (match := re.match(r"(\S+)\s+(\S.*)", line))}
    if missing := [folder for folder in folders if folder not in named]:
        raise DataError(f"{file}: no line for the folder {missing[0]}: each line is a folder, a space and its name")
    names = [named[folder] for folder in folders]
    # ImageNet has two classes that are called crane.
    times = Counter(names)
    return [f"{name} ({folder})" if times[name] > 1 else name for name, folder in zip(names, folders, strict=True)]
