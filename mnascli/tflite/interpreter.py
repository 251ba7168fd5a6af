"""Running .tflite files on this machine."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from mnascli.errors import UsageError
from mnascli.tflite.quiet import quiet_runtime
from mnascli.tflite.shapes import in_words, input_shapes, leaves_size_open, picture_input

PIECE = 64  # images that one interpreter takes at a time


class Runner:
    """A .tflite ready to run. Takes and returns floats whatever the file uses inside: integers by their scale.

    `size` is for a file that leaves the sides of its pictures open. `picture` says how it takes pictures, `classes` how
    many numbers it returns for one.

    Raises UsageError for a file that is not a .tflite, for one that does not take one picture and return one number per
    class, and for a `size` that is not the file's or is missing.
    """

    def __init__(self, path: Path | str, threads: int = 1, size: int | None = None) -> None:
        self.path = Path(path)
        quiet_runtime()
        shapes = list(input_shapes(self.path).values())
        if len(shapes) != 1:
            raise UsageError(f"{path}: not an image classifier: it takes {len(shapes)} inputs, and one was expected")
        self.picture = picture_input(path, shapes[0], size)
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            (image,) = self._interpreter.get_input_details()
            if tuple(image["shape"]) != self.picture.shape:
                self._interpreter.resize_tensor_input(image["index"], self.picture.shape)
            self._interpreter.allocate_tensors()
            self._image = _Port(image, f"{path}: takes")
            # Only running shows what an operator cannot do, and the shapes that depend on values.
            self._interpreter.set_tensor(image["index"], np.zeros(self.picture.shape, self._image.type))
            self._interpreter.invoke()
            outputs = self._interpreter.get_output_details()
            given = [self._interpreter.get_tensor(one["index"]).shape for one in outputs]
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise UsageError(f"{path}: LiteRT cannot run it on {in_words(self.picture.shape)}: {reason}") from error
        self.classes = _classes(self.path, given, self.picture.batch)
        self._logits = _Port(outputs[0], f"{path}: gives")

    @property
    def takes_unscaled(self) -> bool:
        """Whether it takes integers without saying what they stand for."""
        return self._image.unscaled

    @property
    def takes_unscaled_int8(self) -> bool:
        return self._image.unscaled and self._image.type == np.int8

    def predict(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The file's output, (N, classes), for images (N, size, size, channels), as many at once as it takes.

        Raises UsageError for images whose shape is not that of the file's input.
        """
        wanted = (self.picture.size, self.picture.size, self.picture.channels)
        if images.shape[1:] != wanted:
            raise UsageError(f"{self.path}: takes images of shape {wanted}, not {images.shape[1:]}")
        images, batch = self.picture.arranged(self._image.inside(images)), self.picture.batch
        rows: npt.NDArray[Any] = np.empty((len(images), self.classes), self._logits.type)
        set_tensor, invoke, get_tensor = (
            self._interpreter.set_tensor,
            self._interpreter.invoke,
            self._interpreter.get_tensor,
        )
        for row in range(0, len(images), batch):
            part = images[row : row + batch]
            if len(part) < batch:
                part = np.resize(part, self.picture.shape)  # repeated: its output for the rest is dropped
            set_tensor(self._image.index, part)
            invoke()
            rows[row : row + batch] = get_tensor(self._logits.index).reshape(batch, -1)[: len(images) - row]
        return self._logits.outside(rows)


class _Port:
    """An input or output of the interpreter, and how its numbers stand for floats.

    Integers without a scale are the numbers themselves. Raises UsageError for anything but numbers.
    """

    def __init__(self, details: dict[str, Any], name: str) -> None:
        self.index: int = details["index"]
        self.type: np.dtype[Any] = np.dtype(details["dtype"])
        if self.type.kind not in "fiu":
            raise UsageError(f"{name} {self.type.name}: numbers were expected")
        scale, zero = details["quantization"]
        self.unscaled = self.type.kind != "f" and not scale
        self.scale: float = scale or 1.0
        self.zero: int = zero if scale else 0

    def inside(self, values: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        if self.type.kind == "f":
            return values.astype(self.type, copy=False)
        limits = np.iinfo(self.type)
        levels: npt.NDArray[Any] = np.clip(np.round(values / self.scale) + self.zero, limits.min, limits.max)
        return levels.astype(self.type)

    def outside(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        if self.type.kind == "f":
            return values.astype(np.float32, copy=False)
        return (values.astype(np.float32) - np.float32(self.zero)) * np.float32(self.scale)


def _classes(path: Path, outputs: list[tuple[int, ...]], batch: int) -> int:
    """The number of outputs per picture, in one row of any shape. Raises UsageError for several rows or one number."""
    shapes = " and ".join(map(in_words, outputs))
    if len(outputs) != 1:
        raise UsageError(f"{path}: not an image classifier: its output is {shapes}, not one row of classes")
    (shape,) = outputs
    row = shape[1:] if batch > 1 else shape
    if batch > 1 and shape[:1] != (batch,):
        raise UsageError(f"{path}: takes {batch} pictures at once and outputs {shapes}: a row for each was expected")
    if len([size for size in row if size != 1]) != 1:
        raise UsageError(f"{path}: not an image classifier: its output is {shapes}, not a number per class")
    return int(np.prod(row))


def predict(path: Path | str, images: npt.NDArray[np.float32], threads: int = 1) -> npt.NDArray[np.float32]:
    """The file's output, (N, classes), for images (N, size, size, channels), in their order.

    Raises UsageError for a file that is not a .tflite, and for images whose shape is not that of its input.
    """
    return Runner(path, threads, _size(path, images)).predict(images)


def predict_all(
    path: Path | str,
    images: Any,
    normalise: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]],
    workers: int,
) -> npt.NDArray[np.float32]:
    """The file's output for pixels (N, size, size, channels), any N, by as many interpreters as there are `workers`.

    `images` is sliced piece by piece, so it may be on disk. Threads suffice, because LiteRT runs outside Python's lock;
    benchmarks/files/evaluate_tflite.py shows how well. Raises UsageError as `predict` does.
    """
    size = _size(path, images)
    first = Runner(path, size=size)
    if len(images) == 0:
        return np.empty((0, first.classes), np.float32)
    runners: queue.SimpleQueue[Runner] = queue.SimpleQueue()
    for runner in (first, *(Runner(path, size=size) for _ in range(workers - 1))):
        runners.put(runner)

    def work(start: int) -> npt.NDArray[np.float32]:
        runner = runners.get()
        try:
            return runner.predict(normalise(images[start : start + PIECE]))
        finally:
            runners.put(runner)

    with ThreadPoolExecutor(workers) as pool:
        return np.concatenate(list(pool.map(work, range(0, len(images), PIECE))))


def _size(path: Path | str, images: Any) -> int | None:
    """The size of images for a file that leaves it open; a file's own size is compared elsewhere."""
    return int(images.shape[1]) if leaves_size_open(Path(path)) else None
