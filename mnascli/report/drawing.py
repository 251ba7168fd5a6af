"""An architecture as the paper's figure 7 draws it: one box per stage, with its layers and shapes.

Plain data, for any front end to lay out: the page and the figures for a paper draw the same boxes.
"""

from __future__ import annotations

from dataclasses import dataclass

from mnascli.space import Architecture, lower
from mnascli.space.architecture import Block
from mnascli.space.cost import op_cost
from mnascli.space.ops import Conv, Layer


@dataclass(frozen=True)
class Box:
    """One stage. `kind` is stem, conv, sep, mbconv or head; `size` and `channels` are
    those of the feature map after its last convolution."""

    kind: str
    title: str
    notes: tuple[str, ...]
    repeats: int
    skip: str
    size: int
    channels: int
    parameters: int
    multiply_adds: int


def boxes(architecture: Architecture) -> tuple[Box, ...]:
    """The stages from the stem to the classifier; a block of 0 layers is left out."""
    layers = lower(architecture)
    kernel, stride = architecture.stem_kernel, architecture.stem_stride
    drawn = [_box("stem", f"Conv {kernel}x{kernel}", ("stem", f"stride {stride}"), "", layers[:1])]
    for index, block in enumerate(architecture.blocks):
        mine = tuple(layer for layer in layers if layer.name.startswith(f"blocks.{index}."))
        if mine:
            drawn.append(_box(block.operator, block.title, notes_of(block), _skip(mine), mine))
    drawn.append(_box("head", "Conv 1x1, mean, dense", (f"{architecture.classes} classes",), "", layers[-2:]))
    return tuple(drawn)


def notes_of(block: Block) -> tuple[str, ...]:
    """What the title does not say: stride 2 and squeeze-excite."""
    return (*(["stride 2"] if block.stride == 2 else []), *([f"SE {block.se_ratio:g}"] if block.se_ratio else []))


def _skip(layers: tuple[Layer, ...]) -> str:
    """What is added in the block's layers where shapes allow it: identity, pool, or nothing."""
    kinds = {"" if layer.skip is None else "identity" if layer.skip == "identity" else "pool" for layer in layers}
    return max(kinds)  # a first layer that changes the shape has none, later ones do


def _box(kind: str, title: str, notes: tuple[str, ...], skip: str, layers: tuple[Layer, ...]) -> Box:
    costs = [op_cost(op) for layer in layers for op in layer.ops]
    last = [op for layer in layers for op in layer.ops if isinstance(op, Conv)][-1]
    return Box(
        kind,
        title,
        notes,
        repeats=1 if kind == "head" else len(layers),
        skip=skip,
        size=last.out_size,
        channels=last.out_channels,
        parameters=sum(one.parameters for one in costs),
        multiply_adds=sum(one.multiply_adds for one in costs),
    )
