"""The one lowering: an architecture becomes a list of layers with every shape resolved.

Parameters, multiply-adds, the torch network, the .tflite file and the latency model all read this list,
so they cannot disagree. A network is a sequence of `Layer`s; a layer is a sequence of ops (see ops.py) and a skip
around them. What comes after the blocks is a head (see heads.py).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import NamedTuple

from mnascli.space.architecture import Activation, Architecture, Block
from mnascli.space.heads import classifier
from mnascli.space.ops import AveragePool, Conv, Layer, Op, SqueezeExcite, round_filters, same_size


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
def _digest(part: _Place | tuple[Layer, tuple[Layer, ...], float]) -> bytes:
    what = block_layer("", *part) if isinstance(part, _Place) else part
    return hashlib.sha256(repr(what).encode()).digest()


def _parts(net: Architecture) -> tuple[Layer, list[tuple[str, _Place]], tuple[Layer, ...]]:
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
    return Layer("stem", (stem,)), places, classifier(net, channels, size)


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
