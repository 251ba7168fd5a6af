"""Where pictures come from: encoded files with labels, by number, whatever keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mnascli.data.dataset import DataError, Labels

# What the parts are called by those who publish data.
PART_NAMES = {"train": ("train", "training"), "validation": ("validation", "val", "valid"), "test": ("test",)}


class Pictures(Protocol):
    """Pictures of one part. Reading is safe from many threads and processes at once."""

    @property
    def labels(self) -> Labels:
        """(N,), from 0 to classes - 1."""
        ...

    def read(self, number: int) -> bytes:
        """The encoded picture. Raises OSError or DataError where it cannot be had."""
        ...

    def name(self, number: int) -> str:
        """What a user would look for to find it."""
        ...


@dataclass(frozen=True)
class Source:
    """All pictures of a data set: `parts` has train, and validation and test where they are ready-made.

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


def without_test(parts: Sequence[str]) -> bool:
    """Whether the ready-made validation part has to serve as test part.

    As ImageNet is used: what is published as `val` measures the final network, so the search must not see it.
    """
    return "validation" in parts and "test" not in parts


def check_classes(place: str, classes: Sequence[str], parts: Mapping[str, Pictures]) -> None:
    """Raises DataError for one class only, and for a class without pictures in a part."""
    if len(classes) < 2:
        raise DataError(f"{place}: {len(classes)} class only: at least two classes are needed")
    for part, pictures in parts.items():
        counts = np.bincount(pictures.labels, minlength=len(classes))
        if not counts.all():
            name = classes[int(counts.argmin())]
            raise DataError(f"{place}: no picture of class {name} in its {part} part: all parts need the same classes")
