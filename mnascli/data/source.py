"""Where pictures come from: encoded files with labels, by number, whatever keeps them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mnascli.data.arrays import DataError, Labels

# What publishers of data call the parts. An evaluation part is whichever of the other two is missing.
PART_NAMES = {
    "train": ("train", "training", "trainset", "trn"),
    "validation": ("validation", "validate", "validating", "valid", "val", "valset", "dev", "devset"),
    "test": ("test", "testing", "tests", "testset", "tst", "holdout"),
    "evaluation": ("eval", "evaluation", "evaluate", "evalset"),
}
# What may be attached to that: train_set, TestImages, val2017.
FILLERS = frozenset(["set", "data", "dataset", "image", "images", "img", "imgs", "pictures", "split", "part"])


class Pictures(Protocol):
    """Pictures of one part. Reading is safe from many threads and processes at once."""

    @property
    def labels(self) -> Labels:
        """(N,), from 0 to classes - 1."""
        ...

    def read(self, number: int) -> bytes:
        """The encoded picture. Raises OSError or DataError if it cannot be read."""
        ...

    def name(self, number: int) -> str:
        """What a user would look for to find it."""
        ...


@dataclass(frozen=True)
class Source:
    """All pictures of a data set: `parts` has train, and validation and test if they are ready-made.

    Without train it can only be tested on.
    `identity` changes when any picture, label or class does. `place` is what errors name.
    """

    name: str
    place: str
    classes: tuple[str, ...]
    parts: Mapping[str, Pictures]
    identity: str


@dataclass(frozen=True)
class Chosen:
    """Some of a source's pictures, as pictures of their own."""

    pictures: Pictures
    numbers: npt.NDArray[np.int64]

    @property
    def labels(self) -> Labels:
        return self.pictures.labels[self.numbers]

    def read(self, number: int) -> bytes:
        return self.pictures.read(int(self.numbers[number]))

    def name(self, number: int) -> str:
        return self.pictures.name(int(self.numbers[number]))


def words_of(name: str) -> list[str]:
    """The words in a name, in lower case: ValSet-2017 is val, set."""
    return re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def part_of(words: Iterable[str]) -> str | None:
    """The part that one of the words names, of `PART_NAMES`; None if none does."""
    words = set(words)
    return next((part for part, names in PART_NAMES.items() if words.intersection(names)), None)


def parts_called(place: str, names: Iterable[str]) -> dict[str, str]:
    """Which names are those of parts and nothing else: part -> name; `test` comes before `test2` or `test_images`.

    Raises DataError for two equally good names.
    """
    found: dict[str, str] = {}
    for name in sorted(names, key=lambda name: part_of([name.lower()]) is None):
        words = [word for word in words_of(name) if word not in FILLERS]
        part = part_of(words) if len(words) == 1 else None
        if part is None:
            continue
        other = found.setdefault(part, name)
        if other != name and part_of([other.lower()]) == part_of([name.lower()]):
            raise DataError(f"{place}: both {other} and {name} could be its {part} part: rename or remove one")
    return found


def settle(place: str, parts: Mapping[str, str], report: Callable[[str], None]) -> dict[str, str]:
    """Parts (-> what they are called) as train, validation and test; reports if one serves as another.

    A validation part without a test part is the test part, as is usual for ImageNet: the published `val` measures the
    final network, so the search must not see it.
    """
    settled = dict(parts)
    evaluation = settled.pop("evaluation", None)
    if evaluation is not None:
        free = [part for part in ("validation", "test") if part not in settled]
        if free:
            settled[free[0]] = evaluation
        else:
            report(f"{place}: {evaluation} is not used: there already are a validation and a test part")
    if "validation" in settled and "test" not in settled:
        settled["test"] = settled.pop("validation")
        rest = "; validation is held out of train" if "train" in settled else ""
        report(f"{place}: no test part, so {settled['test']} is the test part{rest}")
    return settled


def check_classes(place: str, classes: Sequence[str], parts: Mapping[str, Pictures]) -> None:
    """Raises DataError for a single class, and for a class without pictures in a part."""
    if len(classes) < 2:
        raise DataError(f"{place}: {len(classes)} class only: at least two classes are needed")
    for part, pictures in parts.items():
        counts = np.bincount(pictures.labels, minlength=len(classes))
        if not counts.all():
            name = classes[int(counts.argmin())]
            raise DataError(f"{place}: no picture of class {name} in its {part} part: all parts need the same classes")
