"""A search space as written in YAML, checked whole when it is read: every option of every decision makes a block."""

from __future__ import annotations

import math
import re
from typing import Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from mnascli.schema import PlacedError, Schema, explain, parse
from mnascli.space.architecture import Activation, Skip

MOST_KERNEL = 31
MOST_TIMES = 100  # the base filters
MOST_FILTERS = 16_384
MOST_LAYERS = 1000  # of a block
PER_BLOCK = ("operator", "kernel", "se", "skip", "filters", "layers")


def is_operator(name: str) -> bool:
    """Whether a space may choose an operator of that name."""
    return re.fullmatch(r"conv|sep|mbconv[1-9][0-9]?", name) is not None


class InputConfig(Schema):
    size: int = Field(224, ge=8, le=2048, description="Height and width of the pictures, in pixels.")
    channels: int = Field(3, ge=1, le=64, description="Colour channels of a picture: 3, or 1 for grey.")


class StemConfig(Schema):
    kernel: int = Field(3, ge=1, le=11, description="Kernel of the first convolution.")
    stride: int = Field(2, ge=1, le=2, description="Stride of the first convolution.")
    filters: int = Field(32, ge=1, le=MOST_FILTERS, description="Filters of the first convolution.")

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"kernel {kernel} must be odd")
        return kernel


class HeadConfig(Schema):
    filters: int = Field(1280, ge=1, le=MOST_FILTERS, description="Filters of the last 1x1 convolution.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout before the classifier.")


class Choices(Schema):
    """What may be chosen for a block; the defaults are the paper's."""

    operator: tuple[str, ...] = Field(
        ("conv", "sep", "mbconv3", "mbconv6"),
        min_length=1,
        description="conv, sep (depthwise-separable), mbconvN (inverted residual of expansion N).",
    )
    kernel: tuple[int, ...] = Field((3, 5), min_length=1, description="Kernel sizes, odd.")
    se: tuple[float, ...] = Field((0.0, 0.25), min_length=1, description="Squeeze-excite ratios; 0 is none.")
    skip: tuple[Skip, ...] = Field(("none", "identity", "pool"), min_length=1, description="Skip connections.")
    filters: tuple[float, ...] = Field((0.75, 1.0, 1.25), min_length=1, description="Multiples of the base filters.")
    layers: tuple[int, ...] = Field((-1, 0, 1), min_length=1, description="Layers more (or fewer) than the base.")

    @field_validator("operator")
    @classmethod
    def _operators(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for index, name in enumerate(value):
            if not is_operator(name):
                raise PlacedError((index,), f"{name!r} is not an operator: conv, sep, or mbconvN of expansion N")
        return value

    @field_validator("kernel")
    @classmethod
    def _kernels(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        for index, kernel in enumerate(value):
            if not 1 <= kernel <= MOST_KERNEL or kernel % 2 == 0:
                raise PlacedError((index,), f"kernel {kernel} must be odd, from 1 to {MOST_KERNEL}")
        return value

    @field_validator("se")
    @classmethod
    def _ratios(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        for index, ratio in enumerate(value):
            if not 0 <= ratio <= 1:
                raise PlacedError((index,), f"squeeze-excite ratio {ratio:g} must be from 0 to 1")
        return value

    @field_validator("filters")
    @classmethod
    def _multiples(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        for index, multiple in enumerate(value):
            if not 0 < multiple <= MOST_TIMES:
                raise PlacedError((index,), f"{multiple:g} times the filters: must be above 0, at most {MOST_TIMES}")
        return value

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for name in PER_BLOCK:
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise PlacedError((name,), f"a choice appears twice in {list(values)}")
        return self


class BlockConfig(Schema):
    filters: int = Field(ge=1, le=MOST_FILTERS, description="Base number of output filters.")
    layers: int = Field(ge=1, le=MOST_LAYERS, description="Base number of layers.")
    stride: int = Field(1, ge=1, le=2, description="Stride of the block's first layer.")
    choices: dict[str, Any] = Field({}, description="Choices of this block that differ from the space's.")


class SpaceConfig(Schema):
    """A search space as written in YAML."""

    input: InputConfig = Field(InputConfig(), description="The pictures.")
    classes: int = Field(1000, ge=2, le=1_000_000, description="Classes; a search takes them from its data.")
    stem: StemConfig = Field(StemConfig(), description="The first convolution.")
    head: HeadConfig = Field(HeadConfig(), description="The last convolution and the classifier.")
    activation: Activation = Field("relu", description="relu or relu6.")
    filters_multiple_of: int = Field(1, ge=1, le=1024, description="Filters are rounded to a multiple of this.")
    choices: Choices = Field(Choices(), description="Choices of every block.")
    blocks: tuple[BlockConfig, ...] = Field(
        min_length=1, max_length=1000, description="The skeleton, from input to output."
    )

    @model_validator(mode="after")
    def _every_option_makes_a_block(self) -> Self:
        for index in range(len(self.blocks)):
            options_of(self, index)
        return self

    def filters_of(self, block: BlockConfig, multiple: float) -> int:
        """The filters that a multiple of a block's base results in."""
        unit = self.filters_multiple_of
        return int(block.filters * multiple / unit + 0.5) * unit


def at_size(config: SpaceConfig, size: int) -> SpaceConfig:
    """The space for pictures of another size, whose last feature maps stay about as large as they were.

    If the size is half as large or smaller, the first strided convolutions get stride 1, one for each halving; if it is
    twice as large or larger, the first ones of stride 1 get stride 2. The stem comes first, then the blocks in order.
    Raises UsageError for a size at which a block that may be left out would need a stride, or that no input may have.
    """
    parse(InputConfig, {"size": size}, "--size")
    halvings = math.trunc(math.log2(size / config.input.size))
    strides = [config.stem.stride, *(block.stride for block in config.blocks)]
    before, after = (1, 2) if halvings > 0 else (2, 1)
    changed = [index for index, stride in enumerate(strides) if stride == before][: abs(halvings)]
    for index in changed:
        strides[index] = after
    blocks = [
        block.model_copy(update={"stride": stride}) for block, stride in zip(config.blocks, strides[1:], strict=True)
    ]
    values = {
        "input": config.input.model_copy(update={"size": size}),
        "stem": config.stem.model_copy(update={"stride": strides[0]}),
        "blocks": tuple(blocks),
    }
    return parse(SpaceConfig, config.model_copy(update=values).model_dump(), f"the space at {size} pixels")


def options_of(config: SpaceConfig, index: int) -> tuple[Choices, tuple[str, ...]]:
    """What may be chosen for a block, and a line for each group of options with equal results, which are one.

    Raises PlacedError for an option that makes no block.
    """
    base, where = config.blocks[index], ("blocks", index)
    try:
        choices = Choices.model_validate(config.choices.model_dump() | base.choices)
    except ValidationError as error:
        location, message = explain(Choices, error)
        raise PlacedError((*where, "choices", *location), message) from error
    fewest, most = base.layers + min(choices.layers), base.layers + max(choices.layers)
    if fewest < (1 if base.stride == 2 else 0):
        raise PlacedError(where, f"{fewest} layers are too few for a block of stride {base.stride}")
    if most > MOST_LAYERS:
        raise PlacedError(where, f"{most} layers are too many: at most {MOST_LAYERS}")
    alike: dict[int, list[float]] = {}
    for multiple in choices.filters:
        alike.setdefault(config.filters_of(base, multiple), []).append(multiple)
    if not 1 <= min(alike) <= max(alike) <= MOST_FILTERS:
        raise PlacedError(
            where,
            f"the filters {list(choices.filters)} x {base.filters} come out as {list(alike)}: they must be from 1 to "
            f"{MOST_FILTERS:,}; change them or filters_multiple_of",
        )
    notes = [
        f"{' and '.join(f'{one:g}' for one in multiples)} times {base.filters} filters give {filters}: one choice"
        for filters, multiples in alike.items()
        if len(multiples) > 1
    ]
    operators = choices.operator
    if {"sep", "mbconv1"} <= set(operators):
        operators = tuple(name for name in operators if name != "mbconv1")
        notes.append("the operators sep and mbconv1 have the same layers: one choice, sep")
    # Of multiples with the same result, the one nearest to it.
    kept = tuple(min(of, key=lambda one: abs(one * base.filters - filters)) for filters, of in alike.items())
    return choices.model_copy(update={"filters": kept, "operator": operators}), tuple(notes)
