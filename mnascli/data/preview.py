"""What a data set will be, without looking at all of its pictures: for a plan that must be ready in seconds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from mnascli.data import cache, checking, fashion
from mnascli.data.arrays import DataError, Images, Labels
from mnascli.data.checking import REPAIR, Report, held_out, into_parts
from mnascli.data.dataset import PARTS, Dataset, Split, Statistics
from mnascli.data.loading import channels_of, fashion_files, find, from_anywhere, read_files, resize, to_stderr
from mnascli.data.naming import shown
from mnascli.data.picture import decode
from mnascli.data.preparing import OnBroken, count_of, entries, hash_of, is_large
from mnascli.data.source import Chosen, Pictures, Source
from mnascli.data.streamed import StreamedImages, in_threads

FEW = 48  # pictures that are decoded, spread over the training part


@dataclass(frozen=True)
class Preview:
    """`dataset` has the classes and sizes of the parts, but a few pictures stand in for all of them, over and over.

    `exact` is False where the pictures have not been looked at yet: broken ones and copies may still change the sizes,
    and the hash is empty. `prepare_s` is roughly how long preparing them would take.
    """

    dataset: Dataset
    exact: bool
    prepare_s: float


@dataclass(frozen=True)
class Repeated:
    """Looks like `count` pictures along the first axis; a slice of it is a real array (n, size, size, channels)."""

    few: Images
    count: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.count, *self.few.shape[1:]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: Any) -> Images:
        pixels: Images = self.few[np.arange(self.count)[key] % len(self.few)]
        return pixels


def preview(
    spec: str,
    *,
    size: int,
    channels: int | None = None,
    crop: float = 1.0,
    stream: bool | None = None,
    on_broken: OnBroken = "skip",
    report: Report = to_stderr,
) -> Preview:
    """The preview of what `load` would give. A few pictures are decoded and nothing is written.

    Raises UsageError and DataError as `load` does, except for what only looking at all pictures can show.
    """
    named = from_anywhere(spec)
    channels = channels_of(spec, size, channels)
    files = fashion_files(spec)
    if files is None:
        found = _of_source(find(spec, report), size, channels, crop, stream, on_broken)
        return replace(found, dataset=replace(found.dataset, source=named))
    parts = read_files(files)
    began = time.perf_counter()
    chosen = _spread(len(parts[0].labels))
    small = Split(np.asarray(parts[0].images)[chosen], parts[0].labels[chosen])
    images = np.concatenate([images for images, _ in resize(small, size, channels, crop)])
    own = (size, channels, crop) == (28, 1, 1.0)
    each_s = 0.0 if own else (time.perf_counter() - began) / len(images)
    labels = [part.labels for part in parts]
    splits = [_repeated(images, len(one), one) for one in labels]
    dataset = replace(_dataset(spec.partition(":")[0], fashion.CLASSES, splits, images, ""), source=named)
    return Preview(dataset, exact=True, prepare_s=each_s * sum(map(len, labels)))


def _of_source(
    source: Source, size: int, channels: int, crop: float, stream: bool | None, on_broken: OnBroken
) -> Preview:
    looked_at, decoded = entries(source, size, channels, crop)
    count = count_of(source)
    stream = is_large(count, size, channels) if stream is None else stream
    known = checking.read(looked_at)
    if known is None:
        labels, hash = _labels(source), ""
        pictures = source.parts["train"]
    else:
        checked, skipped = known
        if skipped and on_broken == "stop":
            raise DataError(skipped[0] + REPAIR)
        parts = into_parts(source, checked)
        labels = {part: own.labels[found.numbers] for part, (own, found) in parts.items()}
        hash = hash_of(source, parts)
        pictures = Chosen(parts["train"][0], parts["train"][1].numbers)
    began = time.perf_counter()
    numbers, images = _decoded(pictures, size, channels, crop, on_broken)
    passes = (known is None) + (not stream and cache.read(decoded) is None)
    prepare_s = passes * count * (time.perf_counter() - began) / len(images)
    splits = []
    for part in PARTS:
        few: Any = Repeated(images, len(labels[part]))
        if stream:
            few = StreamedImages(Chosen(pictures, np.resize(numbers, len(labels[part]))), size, channels, crop)
        splits.append(Split(few, labels[part]))
    return Preview(_dataset(source.name, source.classes, splits, images, hash), known is not None, prepare_s)


def _labels(source: Source) -> dict[str, Labels]:
    """The labels of all parts as they will be if every picture is intact and there are no copies."""
    missing = [part for part in PARTS if part not in source.parts]
    labels = {part: pictures.labels for part, pictures in source.parts.items()}
    if missing:
        of_class = Counter(labels["train"].tolist())
        sizes = held_out(source, of_class, missing)
        for index, part in enumerate(missing):
            labels[part] = np.repeat(list(sizes), [own[index] for own in sizes.values()]).astype(np.int64)
        left = [of_class[label] - sum(own) for label, own in sizes.items()]
        labels["train"] = np.repeat(list(sizes), left).astype(np.int64)
    return labels


def _decoded(
    pictures: Pictures, size: int, channels: int, crop: float, on_broken: OnBroken
) -> tuple[npt.NDArray[np.int64], Images]:
    """Numbers and pixels of a few intact pictures. Raises DataError if there is none."""
    chosen = _spread(len(pictures.labels))

    def read(number: int) -> Images | DataError:
        try:
            return decode(pictures.read(number), size, channels, crop)
        except (DataError, OSError) as error:
            return DataError(f"{shown(pictures.name(number))}: broken image: {error}")

    outcomes = list(in_threads(read, chosen.tolist()))
    broken = [one for one in outcomes if isinstance(one, DataError)]
    whole = [one for one in outcomes if not isinstance(one, DataError)]
    if broken and (on_broken == "stop" or not whole):
        raise DataError(f"{broken[0]}{REPAIR}")
    numbers = [number for number, one in zip(chosen, outcomes, strict=True) if not isinstance(one, DataError)]
    return np.array(numbers, np.int64), np.stack(whole)


def _spread(count: int) -> npt.NDArray[np.int64]:
    """A few numbers below `count`, spread evenly: with folders read in order, from every class."""
    return np.unique(np.linspace(0, count - 1, min(FEW, count)).astype(np.int64))


def _repeated(images: Images, count: int, labels: Labels) -> Split:
    return Split(cast(Images, Repeated(images, count)), labels)


def _dataset(name: str, classes: Sequence[str], parts: Sequence[Split], few: Images, hash: str) -> Dataset:
    statistics = Statistics(few.shape[3])
    statistics.add(few)
    mean, std = statistics.mean_and_std()
    train, validation, test, selection = parts
    return Dataset(name, tuple(classes), train, validation, test, selection, mean, std, hash)
