"""The one lowering: an architecture becomes a list of layers with every shape resolved.

Parameters, multiply-adds, the torch network, the .tflite file and the latency model all read this list,
so they cannot disagree. A network is a sequence of `Layer`s; a layer is a sequence of ops and a skip
around them. A new operator is a new dataclass here and one maker in each reader (space/cost.py,
nets/modules.py, tflite/writer.py); tests/test_readers.py fails until all have it.

Shapes: feature maps are square; `size` is height = width. Padding is TensorFlow's SAME everywhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from mnascli.space.architecture import Activation, Architecture, Block


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


# A classifier's new weights are uniform within 1 / sqrt of the number of its inputs, or of its classes.
ClassifierInit = Literal["inputs", "classes"]


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


class _Place(NamedTuple):
    """What a block's layer is made from, except its name: the arguments of `block_layer`."""

    block: Block
    activation: Activation
    channels: int
    filters: int
    stride: int
    size: int


def lower(architecture: Architecture) -> tuple[Layer, ...]:
    """All layers of an architecture, from the stem to the classifier, with resolved shapes."""
    stem, places, end = _parts(architecture)
    return stem, *(block_layer(name, *place) for name, place in places), *end


def network_id(architecture: Architecture) -> str:
    """16 hexadecimal digits that two architectures share if and only if their layers are the same.

    The names of layers say where in the architecture they are and do not count: two blocks of 2 and 1 layers may be
    the same network as blocks of 1 and 2. The epsilon of batch norm, which no layer holds, counts.
    """
    stem, places, end = _parts(architecture)
    digest = hashlib.sha256(_digest((stem, end, float(architecture.bn_epsilon))))
    for _, place in places:
        digest.update(_digest(place))
    return digest.hexdigest()[:16]


# The paper's space has some 10,000 places; without the cache, an id takes eight times as long.
@lru_cache(maxsize=1 << 14)
def _digest(part: _Place | tuple[Layer, tuple[Layer, Layer], float]) -> bytes:
    what = block_layer("", *part) if isinstance(part, _Place) else part
    return hashlib.sha256(repr(what).encode()).digest()


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


def _parts(net: Architecture) -> tuple[Layer, list[tuple[str, _Place]], tuple[Layer, Layer]]:
    """The stem, the name and place of every layer of the blocks, head and classifier."""
    channels = round_filters(net.stem_filters, net.width)
    stem = Conv(
        "stem.conv", net.channels, channels, net.stem_kernel, net.stem_stride, net.size, activation=net.activation
    )
    size = stem.out_size
    places = []
    for index, block in enumerate(net.blocks):
        filters = round_filters(block.filters, net.width)
        for repeat in range(block.repeats):
            stride = block.stride if repeat == 0 else 1
            places.append((f"blocks.{index}.{repeat}", _Place(block, net.activation, channels, filters, stride, size)))
            channels, size = filters, same_size(size, stride)
    head_filters = net.head_filters
    if net.head_grows and net.width > 1:
        head_filters = round_filters(net.head_filters, net.width)
    head: list[Op] = []
    if head_filters:
        head.append(Conv("head.conv", channels, head_filters, 1, 1, size, activation=net.activation))
        channels = head_filters
    classifier = Dropout("classifier.dropout", float(net.dropout)), Dense("classifier.dense", channels, net.classes)
    end = Layer("head", (*head, GlobalMean("head.mean", channels, size))), Layer("classifier", classifier)
    return Layer("stem", (stem,)), places, end


def block_layer(
    name: str, block: Block, activation: Activation, channels: int, filters: int, stride: int, size: int
) -> Layer:
    """One layer of a block, from `channels` to `filters`, on feature maps of `size`."""
    ops: list[Op] = []
    squeeze = max(1, int(block.se_ratio * channels)) if block.se_ratio else 0
    out_size = same_size(size, stride)
    if block.operator == "conv":
        ops.append(Conv(f"{name}.conv", channels, filters, block.kernel, stride, size, activation=activation))
        if squeeze:
            ops.append(SqueezeExcite(f"{name}.se", filters, squeeze, out_size))
    else:
        wide = channels * block.expansion
        if block.expansion > 1:
            ops.append(Conv(f"{name}.expand", channels, wide, 1, 1, size, activation=activation))
        ops.append(
            Conv(f"{name}.depthwise", wide, wide, block.kernel, stride, size, depthwise=True, activation=activation)
        )
        if squeeze:
            ops.append(SqueezeExcite(f"{name}.se", wide, squeeze, out_size))
        after = activation if block.operator == "sep_act" else None
        ops.append(Conv(f"{name}.project", wide, filters, 1, 1, out_size, activation=after))
    if channels == filters and block.skip == "pool":
        return Layer(name, tuple(ops), AveragePool(f"{name}.pool", channels, stride, size))
    if channels == filters and block.skip == "identity" and stride == 1:
        return Layer(name, tuple(ops), "identity")
    return Layer(name, tuple(ops))
