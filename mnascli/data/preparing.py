"""From a source of pictures to a data set: small ones decoded once into the cache, large ones as needed."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np

from mnascli.data import cache, checking
from mnascli.data.arrays import DataError, Images, Labels
from mnascli.data.checking import REPAIR, Checked, Report, into_parts
from mnascli.data.dataset import SMALLEST_STD, Dataset, Split
from mnascli.data.picture import SUFFIXES
from mnascli.data.source import Chosen, Pictures, Source
from mnascli.data.streamed import CHUNK, StreamedImages

OnBroken = Literal["skip", "stop"]

# What decoded pictures may take up in the cache: about what stays in the page cache of a laptop.
CACHED_BYTES = 2 * 1000**3


def prepare(
    source: Source, size: int, channels: int, crop: float, stream: bool | None, on_broken: OnBroken, report: Report
) -> Dataset:
    """The data set of a source; see `mnascli.data.load` for what the arguments mean."""
    count = count_of(source)
    if stream is None:
        stream = is_large(count, size, channels)
    looked_at, decoded = entries(source, size, channels, crop)
    known = checking.read(looked_at)
    dataset = None if stream or known is None else cache.read(decoded)
    if known is None or (dataset is None and not stream):
        report(f"{source.place}: preparing {count} images; this is done once")
    if known is not None and known[1]:
        report(f"{source.place}: {len(known[1])} broken images left out, such as {known[1][0]}")
    if known is None:
        checking.check(looked_at, source, channels, on_broken == "stop", report)
        known = checking.read(looked_at)
    if known is None:
        raise DataError(f"{looked_at}: was changed while it was being read: delete it and try again")
    checked, skipped = known
    if skipped and on_broken == "stop":
        raise DataError(skipped[0] + REPAIR)
    if dataset is not None:
        return dataset
    parts = into_parts(source, checked)
    if not stream:
        chunks = [_chunks(_images(*part, size, channels, crop)) for part in parts.values()]
        return cache.write(
            decoded, source.name, source.classes, size, channels, skipped, chunks, hash_of(source, parts), report
        )
    splits = {
        name: Split(images := _images(*part, size, channels, crop), images.pictures.labels)
        for name, part in parts.items()
    }
    counted = next(part for _, part in parts.values() if len(part.numbers))  # train, if it exists
    mean, second = counted.moments.mean(0, dtype=np.float64)
    std = np.sqrt(np.maximum(second - mean**2, SMALLEST_STD**2))
    return Dataset(
        name=source.name,
        classes=source.classes,
        **splits,
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        hash=hash_of(source, parts),
        skipped=tuple(skipped),
        source="",
    )


def count_of(source: Source) -> int:
    """Pictures of all parts."""
    return sum(len(pictures.labels) for pictures in source.parts.values())


def is_large(count: int, size: int, channels: int) -> bool:
    """Whether so many pictures are decoded whenever they are needed, because they would fill the cache."""
    return count * size * size * channels > CACHED_BYTES


def entries(source: Source, size: int, channels: int, crop: float) -> tuple[Path, Path]:
    """Where the cache keeps what is known about the pictures, and the decoded pictures."""
    kinds = sorted(SUFFIXES)  # another Pillow can read other pictures
    looked_at = cache.entry(["looked at", source.identity, kinds, channels])
    return looked_at, cache.entry(["decoded", source.identity, kinds, size, channels, crop])


def _images(pictures: Pictures, checked: Checked, size: int, channels: int, crop: float) -> StreamedImages:
    return StreamedImages(Chosen(pictures, checked.numbers), size, channels, crop)


def _chunks(images: StreamedImages) -> Iterator[tuple[Images, Labels]]:
    labels = images.pictures.labels
    return ((images[at : at + CHUNK], labels[at : at + CHUNK]) for at in range(0, len(images), CHUNK))


def hash_of(source: Source, parts: dict[str, tuple[Pictures, Checked]]) -> str:
    """Hexadecimal, of class names and the files and labels of each part: the same at every size, streamed or not."""
    state = blake2b(repr(source.classes).encode(), digest_size=16)
    for pictures, checked in parts.values():
        state.update(np.ascontiguousarray(checked.digests).data)
        state.update(np.ascontiguousarray(pictures.labels[checked.numbers], np.dtype("<i8")).data)
        state.update(b"|")
    return state.hexdigest()
