"""What a layer is made of: ops, each with every shape resolved, and the skip around them. Plain data.

A new operator is a dataclass here, a member of `Op`, and one maker in each of its readers: space/cost.py (parameters,
multiply-adds), nets/modules.py (torch), tflite/writer.py, search/latency_model.py; tests/test_readers.py fails until
all have it, also those that read whole layers (drawings, supernet, weights of others).

Shapes: feature maps are square; `size` is height = width. Padding is TensorFlow's SAME everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mnascli.space.architecture import Activation


def same_size(size: int, stride: int) -> int:
    """Output size of SAME padding: rounded up."""
    return -(-size // stride)


def round_filters(filters: int, width: float, multiple: int = 8) -> int:
    """Filters times the depth multiplier, to a multiple of 8, at least 8, never below 90 % of the product.

    Without a multiplier they stay as they are (MnasNet's and MobileNet's official code).
    """
    if width == 1.0:
        return filters
    scaled = filters * width
    rounded = max(multiple, int(scaled + multiple / 2) // multiple * multiple)
    return rounded + multiple if rounded < 0.9 * scaled else rounded


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution without bias, batch norm, and an activation; `depthwise` has one filter per channel."""

    name: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    in_size: int
    depthwise: bool = False
    activation: Activation | None = None

    @property
    def out_size(self) -> int:
        return same_size(self.in_size, self.stride)


@dataclass(frozen=True, slots=True)
class SqueezeExcite:
    """mean -> 1x1 conv with bias to `reduced`, ReLU -> 1x1 conv with bias, sigmoid -> multiply."""

    name: str
    channels: int
    reduced: int
    size: int


@dataclass(frozen=True, slots=True)
class GlobalMean:
    """(channels, size, size) -> (channels,)."""

    name: str
    channels: int
    size: int


@dataclass(frozen=True, slots=True)
class Dropout:
    """Only a regularizer in training."""

    name: str
    rate: float


@dataclass(frozen=True, slots=True)
class Dense:
    """A fully connected layer with bias."""

    name: str
    in_features: int
    out_features: int


@dataclass(frozen=True, slots=True)
class AveragePool:
    """3x3 average over the pixels inside the picture (SAME, padding not counted): the `pool` skip."""

    name: str
    channels: int
    stride: int
    in_size: int
    kernel: int = 3


Op = Conv | SqueezeExcite | GlobalMean | Dropout | Dense | AveragePool


@dataclass(frozen=True, slots=True)
class Layer:
    """Ops in a row and what is added to their result: nothing, the layer's input, or its average pool."""

    name: str
    ops: tuple[Op, ...]
    skip: Literal["identity"] | AveragePool | None = None
