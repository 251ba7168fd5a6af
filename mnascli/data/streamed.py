"""Pictures that look like an array of pixels and are decoded when they are asked for: data larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from mnascli.data.arrays import DataError, Images
from mnascli.data.picture import Choose, centre, cut, to_pixels
from mnascli.data.source import Chosen, Pictures

T = TypeVar("T")
CHUNK = 256  # pictures that are worked on between two checks of the results


@dataclass(frozen=True)
class StreamedImages:
    """uint8 pixels (N, size, size, channels), decoded on access by as many threads as there are cores.

    Every index that numpy accepts along the first axis gives what an array would give. Raises DataError naming a
    picture that can no longer be read.
    """

    pictures: Pictures
    size: int
    channels: int
    crop: float = 1.0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self), self.size, self.size, self.channels

    def __len__(self) -> int:
        return len(self.pictures.labels)

    def __getitem__(self, key: Any) -> Images:
        numbers = np.arange(len(self))[key]
        if numbers.ndim == 0:
            return self._decode(int(numbers))
        pixels = np.empty((len(numbers), self.size, self.size, self.channels), np.uint8)
        for place, image in enumerate(in_threads(self._decode, numbers.tolist())):
            pixels[place] = image
        return pixels

    def first(self, count: int) -> StreamedImages:
        """The first `count` pictures."""
        return replace(self, pictures=Chosen(self.pictures, np.arange(min(count, len(self)))))

    def cut(self, number: int, choose: Choose, *, draft: bool = False) -> Image.Image:
        """A part of one picture as a Pillow image of the streamed size; see `mnascli.data.picture.cut`."""
        try:
            return cut(self.pictures.read(number), choose, self.size, self.channels, draft=draft)
        except (OSError, DataError) as error:
            raise DataError(f"{self.pictures.name(number)}: can no longer be read: {error}") from error

    def _decode(self, number: int) -> Images:
        return to_pixels(self.cut(number, centre(self.crop)))


def in_threads(work: Callable[[int], T], numbers: Sequence[int]) -> Iterator[T]:
    """The results of `work` in order; Pillow decodes outside the interpreter's lock."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(numbers), CHUNK):
            yield from pool.map(work, numbers[start : start + CHUNK])
