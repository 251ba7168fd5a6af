"""Shapes of inputs, and sizes that a file leaves open: found, filled in, and written into a copy.

A file says -1 in `shapeSignature` where any size will do, and 1 in `shape`: whoever runs it as it is runs it on one
pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from mnascli.errors import UsageError
from mnascli.tflite.files import replacing
from mnascli.tflite.graph import Buffer, pack
from mnascli.tflite.reading import has_values, read_file

Layout = Literal["NHWC", "NCHW", "NHW"]
CHANNELS = (1, 3)

Open = tuple[int | None, ...]  # None if any size will do


@dataclass(frozen=True)
class PictureInput:
    """An input of square pictures: `batch` at a time, (size, size, channels) each, in the order that `layout` says."""

    layout: Layout
    batch: int
    size: int
    channels: int

    @property
    def shape(self) -> tuple[int, ...]:
        sizes = {"N": self.batch, "H": self.size, "W": self.size, "C": self.channels}
        return tuple(sizes[letter] for letter in self.layout)

    def arranged(self, images: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Images (N, size, size, channels) as this input wants them, any N."""
        if self.layout == "NCHW":
            return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        return images[..., 0] if self.layout == "NHW" else images


def open_shape(tensor: Any) -> Open:
    """The shape of a tensor of the file."""
    shape = [] if tensor.shape is None else [int(size) for size in tensor.shape]
    signature = shape if tensor.shapeSignature is None else [int(size) for size in tensor.shapeSignature]
    if len(signature) != len(shape):
        signature = shape
    return tuple(None if min(pair) < 1 else pair[0] for pair in zip(shape, signature, strict=True))


def input_shapes(path: Path) -> dict[int, Open]:
    """The shapes of all inputs by the index of their tensor. Raises UsageError for a file that is not a .tflite."""
    graph = read_file(path).subgraphs[0]
    return {int(index): open_shape(graph.tensors[index]) for index in graph.inputs}


def leaves_size_open(path: Path) -> bool:
    """Whether a file takes pictures of any height and width. Raises UsageError for a file that is not a .tflite."""
    return any(_is_pictures(shape) and _sides(shape) == {None} for shape in input_shapes(path).values())


def picture_input(path: Path | str, shape: Open, size: int | None = None) -> PictureInput:
    """How an input of that shape takes pictures; `size` is for the sides that it leaves open.

    Raises UsageError for an input of anything but square pictures of 1 or 3 channels, for open sides without a `size`,
    and for a `size` that is not the file's.
    """
    layout = _layout(shape)
    if layout is None:
        raise UsageError(
            f"{path}: takes an input of shape {in_words(shape)}: (1, size, size, channels) with 1 or 3 channels, or "
            "(1, size, size), was expected"
        )
    sizes = dict(zip(layout, _filled(path, shape, size), strict=True))
    if sizes["H"] != sizes["W"]:
        raise UsageError(f"{path}: takes pictures of {sizes['H']}x{sizes['W']} pixels: mnas makes squares only")
    return PictureInput(layout, sizes["N"], sizes["H"], sizes.get("C", 1))


def with_fixed_shapes(model: Path, path: Path, size: int | None = None) -> Path:
    """A file that runs the same everywhere: `model` itself, or its copy at `path` if it leaves sizes open.

    `size` is that of pictures. An open batch becomes one. Raises UsageError if an open side is not given or something
    else is open, for a `size` that is not the file's, and if LiteRT cannot run it at that size.
    """
    wanted = input_shapes(model)
    if size is not None and not any(_is_pictures(shape) for shape in wanted.values()):
        raise UsageError(f"{model}: takes no pictures: leave out --size")
    filled = {index: _filled(model, shape, size) for index, shape in wanted.items()}
    file = read_file(model)
    tensors = file.subgraphs[0].tensors
    if all(shape == tuple(tensors[index].shape) for index, shape in filled.items()):
        return model
    # After the file's own tensors come the kernels' temporary ones.
    for tensor, shape in zip(tensors, _shapes_at(model, filled), strict=False):
        if not has_values(file, tensor):
            tensor.shape, tensor.shapeSignature = np.array(shape, np.int32), None
    file.buffers = [Buffer(b"" if one.data is None else bytes(one.data)) for one in file.buffers]
    with replacing(path) as temporary:
        temporary.write_bytes(pack(file))
    return path


def in_words(shape: Sequence[int | None]) -> str:
    """A shape for a message."""
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"


def _layout(shape: Open) -> Layout | None:
    """None for anything that cannot be pictures of 1 or 3 channels."""
    if len(shape) == 3 and shape[1] == shape[2]:
        return "NHW"
    if len(shape) != 4:
        return None
    last, first = shape[3] in CHANNELS, shape[1] in CHANNELS
    if last and first:  # (1, 3, 224, 3) may be either: mnas makes squares
        last = shape[1] == shape[2] or shape[2] != shape[3]
    return "NHWC" if last else "NCHW" if first else None


def _is_pictures(shape: Open) -> bool:
    """Includes other numbers of channels, which can be measured."""
    return len(shape) == 4 or _layout(shape) is not None


def _places(shape: Open) -> tuple[int, int]:
    """Where height and width are in the shape of pictures."""
    return (2, 3) if _layout(shape) == "NCHW" else (1, 2)


def _sides(shape: Open) -> set[int | None]:
    return {shape[place] for place in _places(shape)}


def _filled(path: Path | str, shape: Open, size: int | None) -> tuple[int, ...]:
    """The shape of an input, of pictures or not, with a number everywhere. Raises UsageError if that is impossible."""
    sizes = list(shape)
    if sizes and sizes[0] is None:
        sizes[0] = 1
    if _is_pictures(shape):
        fixed = max((side for side in _sides(shape) if side is not None), default=None)
        places = [place for place in _places(shape) if sizes[place] is None]
        if fixed is not None and size not in (None, fixed):
            height, width = (sizes[place] or fixed for place in _places(shape))
            raise UsageError(
                f"{path}: takes pictures of {height}x{width} pixels, not of {size}x{size}: leave out --size"
            )
        if places and fixed is None and size is None:
            raise UsageError(f"{path}: takes pictures of any size: choose one with --size")
        for place in places:
            sizes[place] = fixed or size
    if None in sizes:
        raise UsageError(
            f"{path}: leaves the shape of an input open, {in_words(shape)}: write it again with a fixed one; only "
            "height and width of pictures can be given"
        )
    return tuple(size for size in sizes if size is not None)


def _shapes_at(model: Path, inputs: dict[int, tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The shapes of all tensors with such inputs."""
    try:
        # A delegate would leave the tensors inside it as they are in the file.
        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(model_path=str(model), experimental_op_resolver_type=kernels)
        for index, shape in inputs.items():
            interpreter.resize_tensor_input(index, shape)
        interpreter.allocate_tensors()
        return [tuple(map(int, one["shape"])) for one in interpreter.get_tensor_details()]
    except (ValueError, RuntimeError) as error:
        shapes = " and ".join(map(in_words, inputs.values()))
        raise UsageError(f"{model}: LiteRT cannot run it on {shapes}: {' '.join(str(error).split())}") from error
