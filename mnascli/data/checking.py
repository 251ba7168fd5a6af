"""Looking once at each picture of a source: can it be decoded, what is it, how bright is it? Kept in the cache."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mnascli.data import cache
from mnascli.data.arrays import DataError
from mnascli.data.dataset import PARTS
from mnascli.data.naming import shown
from mnascli.data.picture import decode
from mnascli.data.source import Pictures, Source
from mnascli.data.split import digest, divide
from mnascli.data.streamed import in_threads

Report = Callable[[str], None]

# Shares of each class, if there is no ready-made part.
HELD_OUT = {"validation": 0.15, "test": 0.15, "selection": 0.1}
# Images over all classes; the paper holds out 50,000 of ImageNet (section 5). More would not rank networks better.
MOST = {"validation": 50_000, "test": 50_000, "selection": 10_000}
REPAIR = ": repair or remove it, or have broken images skipped"
THUMB = 32  # pixels; for mean and deviation


@dataclass(frozen=True)
class Checked:
    """What is known about a part's pictures: `numbers` of the intact ones, their digests (N, 16), and the mean and mean
    square of each channel of each of them (N, 2, channels), of pixels from 0 to 1."""

    numbers: npt.NDArray[np.int64]
    digests: npt.NDArray[np.uint8]
    moments: npt.NDArray[np.float32]

    def __getitem__(self, key: npt.NDArray[np.int64]) -> Checked:
        return Checked(self.numbers[key], self.digests[key], self.moments[key])


def read(folder: Path) -> tuple[dict[str, Checked], list[str]] | None:
    """The parts of a source and the broken pictures, as `check` left them; None if it did not."""
    try:
        skipped = json.loads((folder / "skipped.json").read_text(encoding="utf-8"))
        parts = json.loads((folder / "parts.json").read_text(encoding="utf-8"))
        return {
            part: Checked(*(np.load(folder / f"{part}.{name}.npy") for name in Checked.__annotations__))
            for part in parts
        }, skipped
    except (OSError, ValueError, EOFError):
        return None


def check(folder: Path, source: Source, channels: int, stop: bool, report: Report) -> None:
    """Look at all pictures and write the findings to the cache entry `folder`.

    Raises DataError for a broken picture if `stop`, for a class without an intact picture, for a full disk.
    """
    skipped: list[str] = []
    parts = {part: _check(pictures, channels, stop, skipped, report) for part, pictures in source.parts.items()}
    for part, checked in parts.items():
        counts = np.bincount(source.parts[part].labels[checked.numbers], minlength=len(source.classes))
        if not counts.all():
            raise DataError(f"{source.place}: class {source.classes[counts.argmin()]}: none of its images can be read")
    with cache.building(folder, lambda: read(folder) is not None) as place:
        for part, checked in parts.items():
            for name, values in vars(checked).items():
                cache.write_array(place / f"{part}.{name}.npy", values)
        (place / "parts.json").write_text(json.dumps(list(parts)), encoding="utf-8")
        (place / "skipped.json").write_text(json.dumps(skipped), encoding="utf-8")


def _check(pictures: Pictures, channels: int, stop: bool, skipped: list[str], report: Report) -> Checked:
    def look(number: int) -> tuple[bytes, npt.NDArray[np.float32]] | str:
        try:
            data = pictures.read(number)
            pixels = decode(data, THUMB, channels, draft=True).reshape(-1, channels) / np.float32(255)
            return digest(data), np.stack([pixels.mean(0), (pixels**2).mean(0)])
        except (DataError, OSError) as error:
            return f"{shown(pictures.name(number))}: broken image: {error}"

    count = len(pictures.labels)
    numbers: list[int] = []
    digests, moments = bytearray(), np.empty((count, 2, channels), np.float32)
    told = time.monotonic()
    for number, outcome in enumerate(in_threads(look, range(count))):
        if isinstance(outcome, str):
            if stop:
                raise DataError(outcome + REPAIR)
            skipped.append(outcome)
            report(f"{outcome}: skipped")
            continue
        digests += outcome[0]
        moments[len(numbers)] = outcome[1]
        numbers.append(number)
        if time.monotonic() - told > cache.REPORT_EVERY_S:
            told = time.monotonic()
            report(f"looked at {number + 1} of {count} images")
    return Checked(
        np.array(numbers, np.int64), np.frombuffer(digests, np.uint8).reshape(-1, 16), moments[: len(numbers)].copy()
    )


def into_parts(source: Source, checked: dict[str, Checked]) -> dict[str, tuple[Pictures, Checked]]:
    """The `PARTS`: the ready-made ones, and what is missing held out of train; without train it is empty.

    Raises DataError for a class that has too few different pictures for that.
    """
    missing = [part for part in PARTS if part not in checked]
    parts = {part: (source.parts[part], found) for part, found in checked.items()}
    if "train" in missing:
        pictures, found = next(iter(parts.values()))
        parts |= dict.fromkeys(missing, (pictures, found[np.array([], np.int64)]))
    elif missing:
        pictures, train = parts["train"]
        labels = pictures.labels[train.numbers].tolist()
        digests = [one.tobytes() for one in train.digests]
        of_class = Counter(label for _, label in set(zip(digests, labels, strict=True)))
        sizes = held_out(source, of_class, missing)
        for part, chosen in zip([*missing, "train"], divide(digests, labels, sizes), strict=True):
            parts[part] = (pictures, train[np.array(chosen, np.int64)])
    return {part: parts[part] for part in PARTS}


def held_out(source: Source, of_class: Mapping[int, int], missing: Sequence[str]) -> dict[int, list[int]]:
    """How many pictures of each class make up each missing part, `of_class` being how many different ones it has.

    Raises DataError for a class that has too few.
    """
    for label, name in enumerate(source.classes):
        if of_class.get(label, 0) <= len(missing):
            raise DataError(
                f"{source.place}: class {name} has {of_class.get(label, 0)} different images: too few to split into "
                f"train, {' and '.join(missing)}: add images or remove the class"
            )
    most = {part: number // len(source.classes) for part, number in MOST.items()}
    return {
        label: [max(1, min(round(HELD_OUT[part] * count), most[part])) for part in missing]
        for label, count in of_class.items()
    }
