"""Tar shards in the format of webdataset: `key.jpg` beside `key.cls` (a number or a class name) or `key.json`.

The shards are indexed once and then read in random order, so that shuffling is complete and a training resumes exactly;
they must be local files for that.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mnascli import paths
from mnascli.data.arrays import DataError, Labels
from mnascli.data.checking import Report
from mnascli.data.extras import extra
from mnascli.data.picture import SUFFIXES, left_out_in_words
from mnascli.data.source import Pictures, Source, check_classes, part_of, settle, words_of
from mnascli.errors import UsageError

NAMES = "classes.txt"  # beside the shards: one class name per line


@dataclass(frozen=True)
class Members:
    """Pictures inside uncompressed tar files: for each its shard, and offset and size in bytes there."""

    shards: tuple[str, ...]
    where: npt.NDArray[np.int64]  # (N, 3)
    labels: Labels

    def read(self, number: int) -> bytes:
        shard, offset, size = self.where[number].tolist()
        with open(self.shards[shard], "rb", buffering=0) as file:  # noqa: PTH123
            data = os.pread(file.fileno(), size, offset)
        if len(data) != size:
            raise DataError(f"{self.shards[shard]}: cut off")
        return data

    def name(self, number: int) -> str:
        shard, offset, _ = self.where[number].tolist()
        return f"{self.shards[shard]}, at byte {offset}"


def find(pattern: str, report: Report) -> Source:
    """The pictures of the shards that `pattern` names: braces, wildcards, or a folder of .tar files.

    A shard belongs to the part that its name says (`imagenet-val-000.tar`), to train if it says none.
    Raises UsageError if there are none or webdataset is not installed, DataError for shards that cannot be used.
    """
    webdataset = extra("webdataset", "webdataset")
    shards = _expand(pattern, webdataset)
    by_part: dict[str, list[str]] = {}
    for shard in shards:
        by_part.setdefault(part_of(words_of(Path(shard).name)) or "train", []).append(shard)
    settled = settle(f"wds:{pattern}", {part: part for part in by_part}, report)
    by_part = {part: by_part[name] for part, name in settled.items()}
    state = blake2b(digest_size=16)
    split_name, left_out = webdataset.tariterators.base_plus_ext, Counter[str]()
    found = {part: _index(of_part, split_name, state, left_out) for part, of_part in by_part.items()}
    if count := left_out.total():
        report(f"wds:{pattern}: {count} files were not looked at: {left_out_in_words(left_out)}")
    names = _class_names(Path(shards[0]).parent / NAMES, [label for _, labels in found.values() for label in labels])
    state.update(repr(names).encode())
    numbers = {name: number for number, name in enumerate(names)}
    parts: dict[str, Pictures] = {}
    for part, (where, labels) in found.items():
        own = [label if isinstance(label, int) else numbers.get(label, -1) for label in labels]
        if not all(0 <= number < len(names) for number in own):
            wrong = next(label for label, number in zip(labels, own, strict=True) if not 0 <= number < len(names))
            raise DataError(f"wds:{pattern}: a picture of class {wrong!r}, which {NAMES} does not have")
        parts[part] = Members(tuple(by_part[part]), np.array(where, np.int64), np.array(own, np.int64))
    check_classes(f"wds:{pattern}", names, parts)
    name = re.sub(r"[^A-Za-z]+$", "", Path(shards[0]).stem) or "shards"
    return Source(name, f"wds:{pattern}", tuple(names), parts, state.hexdigest())


def _expand(pattern: str, webdataset: Any) -> list[str]:
    if re.match(r"(pipe|https?|s3|gs|hf|ais):", pattern):
        raise UsageError(f"wds:{pattern}: shards must be local files: download them first")
    if paths.is_dir(Path(pattern)):
        pattern = str(Path(pattern) / "*.tar")
    try:
        shards = sorted(path for one in webdataset.shardlists.expand_urls(pattern) for path in glob(one) or [one])  # noqa: PTH207
    except ValueError as error:
        raise UsageError(f"wds:{pattern}: {error}") from error
    missing = [shard for shard in shards if not paths.is_file(Path(shard))]
    if missing or not shards:
        raise UsageError(f"wds:{pattern}: no shard {(missing or [pattern])[0]}")
    return shards


def _index(
    shards: list[str], split_name: Any, state: Any, left_out: Counter[str]
) -> tuple[list[tuple[int, int, int]], list[int | str]]:
    """Shard, offset and size of each picture of a part, and its label; counts suffixes of samples without a picture."""
    where, labels = [], []
    for number, shard in enumerate(shards):
        stat = Path(shard).stat()
        state.update(repr((str(Path(shard).resolve()), stat.st_size, stat.st_mtime_ns)).encode())
        for key, picture, label, others in _samples(shard, split_name):
            if picture is None:
                left_out.update(others or ["labels without a picture"])
                continue
            if label is None:
                raise DataError(f"{shard}: {key} has no .cls or .json with a label beside it")
            where.append((number, *picture))
            labels.append(label)
    return where, labels


def _samples(shard: str, split_name: Any) -> Iterator[tuple[str, tuple[int, int] | None, int | str | None, list[str]]]:
    """Key, (offset, size) of the picture, label and suffixes of everything else for each sample of a shard.

    In one pass over its headers.
    """
    key, picture, label, others = "", None, None, list[str]()
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                own_key, suffix = split_name(member.name)
                if not member.isreg() or own_key is None:
                    continue
                if own_key != key:
                    if key:
                        yield key, picture, label, others
                    key, picture, label, others = own_key, None, None, []
                kind = f".{suffix.lower().rpartition('.')[2]}"
                if kind in SUFFIXES and picture is None:
                    picture = (member.offset_data, member.size)
                elif kind in (".cls", ".json"):
                    file = tar.extractfile(member)
                    label = _label(file.read(), kind, f"{shard}: {member.name}") if file else None
                else:
                    others.append(kind)
                tar.members = []  # type: ignore[attr-defined]  # it would keep each header in memory
            if key:
                yield key, picture, label, others
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{shard}: not an uncompressed tar file, or cut off: {error}") from error


def _label(data: bytes, kind: str, member: str) -> int | str:
    try:
        text = data.decode().strip()
        value = json.loads(text).get("label") if kind == ".json" else text
        return int(value) if str(value).isdigit() else str(value or "")
    except (ValueError, AttributeError) as error:
        raise DataError(f"{member}: not a label: {error}") from error


def _class_names(file: Path, labels: list[int | str]) -> list[str]:
    """The classes: the lines of `file` if there is one, else the labels as they are."""
    numbered = all(isinstance(label, int) for label in labels)
    if file.is_file():
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file}: cannot be read as text: {error}") from error
        names = [line.strip() for line in lines if line.strip()]
        # ImageNet has two classes that are called crane; if labels are numbers, that does no harm.
        times = Counter(names)
        return [f"{name} ({n})" if numbered and times[name] > 1 else name for n, name in enumerate(names)]
    if numbered:
        return [str(number) for number in range(max(map(int, labels), default=-1) + 1)]
    return sorted({str(label) for label in labels})
