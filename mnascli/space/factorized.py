"""The factorized hierarchical search space (paper, section 4.1): a skeleton of blocks and six decisions for each.

A space is a YAML file; nothing of it stands in code. For every block one choice is made for the operator, the kernel,
the squeeze-excite ratio, the skip, the filters (a multiple of the block's base) and the number of layers (added to
the block's base). All layers of a block are alike, so the paper's seven blocks of 432 choices give 432^7 networks.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from mnascli.errors import UsageError
from mnascli.resources import folder
from mnascli.schema import Schema, parse, read_yaml
from mnascli.space.architecture import Activation, Architecture, Block, Skip
from mnascli.space.layers import network_id

MOST_FILTERS = 16_384
MOST_LAYERS = 1000  # of a block
PER_BLOCK = ("operator", "kernel", "se", "skip", "filters", "layers")


class InputConfig(Schema):
    size: int = Field(224, ge=8, le=2048, description="Height and width of the pictures, in pixels.")
    channels: int = Field(3, ge=1, le=64, description="Colours of a picture: 3, or 1 for grey.")


class StemConfig(Schema):
    kernel: int = Field(3, ge=1, le=11, description="Kernel of the first convolution.")
    stride: int = Field(2, ge=1, le=2, description="Stride of the first convolution.")
    filters: int = Field(32, ge=1, le=MOST_FILTERS, description="Filters of the first convolution.")


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
        for name in value:
            if not re.fullmatch(r"conv|sep|mbconv[1-9][0-9]?", name):
                raise ValueError(f"{name!r} is no operator: conv, sep, or mbconv with its expansion, as mbconv6")
        return value

    @field_validator("kernel")
    @classmethod
    def _kernels(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        for kernel in value:
            if kernel < 1 or kernel % 2 == 0:
                raise ValueError(f"kernel {kernel} must be odd and 1 or more")
        return value

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for name in PER_BLOCK:
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: a choice stands twice in {list(values)}")
        return self


class BlockConfig(Schema):
    filters: int = Field(ge=1, le=MOST_FILTERS, description="Base number of output filters.")
    layers: int = Field(ge=1, le=MOST_LAYERS, description="Base number of layers.")
    stride: int = Field(1, ge=1, le=2, description="Stride of the block's first layer.")
    choices: dict[str, Any] = Field({}, description="Choices of this block that differ from the space's.")


class SpaceConfig(Schema):
    """A search space as it stands in YAML."""

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


@dataclass(frozen=True, slots=True)
class OneOf:
    """One decision: `tag` says which ('block3.kernel', counted from 1), `choices` what may be taken."""

    tag: str
    choices: tuple[Any, ...]


@dataclass(frozen=True)
class Space:
    """The architectures that may be built; `source` names the file for error messages."""

    config: SpaceConfig
    source: str = "space"

    def __post_init__(self) -> None:
        # Every option must make a block, and no two options the same one: checked once, here, and not in mid-search.
        for number, (base, choices) in enumerate(zip(self.config.blocks, self.block_choices, strict=True), start=1):
            where = f"{self.source}: space.blocks.{number - 1}"
            filters = [self._filters(base, multiple) for multiple in choices.filters]
            if len(set(filters)) != len(filters) or min(filters) < 1:
                raise UsageError(
                    f"{where}: the filters {list(choices.filters)} x {base.filters} come out as {filters}: "
                    "they must differ and be 1 or more; change them or filters_multiple_of"
                )
            fewest = base.layers + min(choices.layers)
            if fewest < (1 if base.stride == 2 else 0):
                raise UsageError(f"{where}: {fewest} layers are too few for a block of stride {base.stride}")

    @cached_property
    def block_choices(self) -> tuple[Choices, ...]:
        """The choices of each block: the space's, with the block's own in their place."""
        common = self.config.choices.model_dump()
        return tuple(
            parse(Choices, common | block.choices, f"{self.source}: space.blocks.{index}.choices")
            for index, block in enumerate(self.config.blocks)
        )

    @cached_property
    def decisions(self) -> tuple[OneOf, ...]:
        """Six for each block, in the order of `PER_BLOCK`."""
        return tuple(
            OneOf(f"block{number}.{name}", getattr(choices, name))
            for number, choices in enumerate(self.block_choices, start=1)
            for name in PER_BLOCK
        )

    @property
    def size(self) -> int:
        """How many ways there are to decide."""
        return math.prod(len(decision.choices) for decision in self.decisions)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all that the space allows: two spaces with the same hash are the same."""
        text = json.dumps(self.config.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def decode(self, indices: Sequence[int]) -> Architecture:
        """The architecture for one index a decision. Raises UsageError for a wrong number of them or a wrong index."""
        if len(indices) != len(self.decisions):
            raise UsageError(f"{len(self.decisions)} decisions were expected, not {len(indices)}")
        for decision, index in zip(self.decisions, indices, strict=True):
            if not 0 <= index < len(decision.choices):
                raise UsageError(f"{decision.tag}: there is no choice {index}, only 0 to {len(decision.choices) - 1}")
        each = len(PER_BLOCK)
        taken = [tuple(indices[start : start + each]) for start in range(0, len(indices), each)]
        return self._skeleton(tuple(self._block(number, choices) for number, choices in enumerate(taken)))

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """One index a decision, as `decode` takes them. Raises UsageError where it is not of this space."""
        if len(architecture.blocks) != len(self.config.blocks):
            raise UsageError(
                f"not of this space: {len(architecture.blocks)} blocks, the space has {len(self.config.blocks)}"
            )
        indices: list[int] = []
        decisions = iter(self.decisions)
        for base, choices, block in zip(self.config.blocks, self.block_choices, architecture.blocks, strict=True):
            multiples = {self._filters(base, multiple): multiple for multiple in choices.filters}
            operator = f"mbconv{block.expansion}" if block.operator == "mbconv" else block.operator
            filters = multiples.get(block.filters)
            taken = (operator, block.kernel, block.se_ratio, block.skip, filters, block.repeats - base.layers)
            for value in taken:
                decision = next(decisions)
                if value not in decision.choices:
                    raise UsageError(
                        f"not of this space: {decision.tag} of {block} is none of {list(decision.choices)}"
                    )
                indices.append(decision.choices.index(value))
        if self.decode(indices) != architecture:
            raise UsageError("not of this space: strides, stem, head or input differ")
        return tuple(indices)

    def sample(self, rng: random.Random) -> Architecture:
        """An architecture with every decision drawn uniformly."""
        return self.decode([rng.randrange(len(decision.choices)) for decision in self.decisions])

    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        """Another network that differs in one decision. Raises UsageError where all of the space is one network."""
        return self.decode(self.mutate_indices(self.encode(architecture), rng))

    def mutate_indices(self, taken: Sequence[int], rng: random.Random) -> tuple[int, ...]:
        """As `mutate`, of an architecture in the form that `encode` gives."""
        others = [
            [(position, index) for index in range(len(decision.choices)) if index != taken[position]]
            for position, decision in enumerate(self.decisions)
            if len(decision.choices) > 1
        ]
        before = network_id(self.decode(taken))
        # A decision may change nothing: the skip of a layer whose channels change, or anything of a block left out.
        while others:
            of_decision = rng.choice(others)
            position, index = of_decision.pop(rng.randrange(len(of_decision)))
            mutated = (*taken[:position], index, *taken[position + 1 :])
            if network_id(self.decode(mutated)) != before:
                return mutated
            others = [rest for rest in others if rest]
        raise UsageError(f"{self.source}: the space has a single network")

    def on(self, *, size: int | None = None, channels: int | None = None, classes: int | None = None) -> Space:
        """The same space for other pictures; None keeps what is."""
        size, channels = size or self.config.input.size, channels or self.config.input.channels
        changes = {"input": InputConfig(size=size, channels=channels), "classes": classes or self.config.classes}
        return Space(self.config.model_copy(update=changes), self.source)

    def adapt(self, architecture: Architecture) -> Architecture:
        """A published network on this space's skeleton: its strides, stem, head, input and classes.

        Operators, kernels, filters, layers and activation stay the network's own. Raises UsageError where the number of
        blocks differs.
        """
        if len(architecture.blocks) != len(self.config.blocks):
            raise UsageError(
                f"{self.source}: {len(self.config.blocks)} blocks cannot take a network of {len(architecture.blocks)}"
            )
        blocks = tuple(
            replace(block, stride=base.stride)
            for block, base in zip(architecture.blocks, self.config.blocks, strict=True)
        )
        own = {name: getattr(architecture, name) for name in ("activation", "bn_epsilon", "head_grows", "width")}
        return replace(self._skeleton(blocks), **own)

    def _skeleton(self, blocks: tuple[Block, ...]) -> Architecture:
        config = self.config
        return Architecture(
            blocks=blocks,
            stem_kernel=config.stem.kernel,
            stem_stride=config.stem.stride,
            stem_filters=config.stem.filters,
            head_filters=config.head.filters,
            dropout=config.head.dropout,
            activation=config.activation,
            size=config.input.size,
            channels=config.input.channels,
            classes=config.classes,
        )

    @cached_property
    def _blocks(self) -> dict[tuple[int, tuple[int, ...]], Block]:
        """The blocks that `decode` has made: it makes them over and over."""
        return {}

    def _block(self, number: int, indices: tuple[int, ...]) -> Block:
        if (number, indices) not in self._blocks:
            decisions = self.decisions[number * len(PER_BLOCK) :]
            values = [decision.choices[index] for decision, index in zip(decisions, indices, strict=False)]
            self._blocks[number, indices] = self._made_block(self.config.blocks[number], *values)
        return self._blocks[number, indices]

    def _made_block(
        self, base: BlockConfig, operator: str, kernel: int, se_ratio: float, skip: Skip, multiple: float, more: int
    ) -> Block:
        expansion = int(operator.removeprefix("mbconv")) if operator.startswith("mbconv") else 1
        return Block(
            operator="mbconv" if operator.startswith("mbconv") else operator,  # type: ignore[arg-type]
            kernel=kernel,
            stride=base.stride,
            filters=self._filters(base, multiple),
            repeats=base.layers + more,
            expansion=expansion,
            se_ratio=se_ratio,
            skip=skip,
        )

    def _filters(self, base: BlockConfig, multiple: float) -> int:
        unit = self.config.filters_multiple_of
        return int(base.filters * multiple / unit + 0.5) * unit


def load_space(path_or_template: str | Path) -> Space:
    """The space of a YAML file, or of a shipped template by its name.

    The file holds the space itself or has it under the key `space`, as a search template does. Raises UsageError.
    """
    path = Path(path_or_template)
    if not path.suffix:
        path = template_path(str(path_or_template))
    values = read_yaml(path)
    if "space" in values:
        values = values["space"]
        if not isinstance(values, dict):
            raise UsageError(f"{path}: space: a mapping was expected")
    return make_space(values, str(path))


def make_space(values: dict[str, Any], source: str) -> Space:
    """The space of plain values as they stand in YAML. Raises UsageError naming source and key."""
    return Space(parse(SpaceConfig, values, f"{source}: space"), source)


def template_path(name: str) -> Path:
    """The shipped template of that name. Raises UsageError with the names there are."""
    path = folder("templates") / f"{name}.yaml"
    if not path.is_file():
        names = sorted(entry.stem for entry in folder("templates").glob("*.yaml"))
        raise UsageError(f"no template called {name!r}: there are {', '.join(names)}; a file of your own ends in .yaml")
    return path
