"""The factorized hierarchical search space (paper, section 4.1): a skeleton of blocks and six decisions for each.

A space is a YAML file; none of it is in code. For every block one choice is made for the operator, the kernel,
the squeeze-excite ratio, the skip, the filters (a multiple of the block's base) and the number of layers (added to
the block's base). All layers of a block are identical, so the paper's seven blocks of 432 choices give 432^7 networks.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mnascli import paths
from mnascli.errors import UsageError
from mnascli.resources import folder
from mnascli.schema import Location, parse, read_yaml
from mnascli.space.architecture import Architecture, Block, Skip
from mnascli.space.configuration import (
    PER_BLOCK,
    BlockConfig,
    Choices,
    InputConfig,
    SpaceConfig,
    is_operator,
    options_of,
)
from mnascli.space.layers import network_id
from mnascli.space.zoo import load

LEANING = 2.0  # power of the exponential draws: above 1, most of the weight is on one or two of the choices
PLAIN = "plain-"  # before an operator: the name of a plain skeleton


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

    @cached_property
    def _options(self) -> tuple[tuple[Choices, tuple[str, ...]], ...]:
        return tuple(options_of(self.config, index) for index in range(len(self.config.blocks)))

    @cached_property
    def block_choices(self) -> tuple[Choices, ...]:
        """The choices of each block: the space's, overridden by the block's own, no two of them equal."""
        return tuple(choices for choices, _ in self._options)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """A line for each group of options that have the same result and so are one choice, with their blocks."""
        blocks: dict[str, list[str]] = {}
        for index, (_, notes) in enumerate(self._options):
            for note in notes:
                blocks.setdefault(note, []).append(str(index))
        return tuple(f"space.blocks.{','.join(where)}: {note}" for note, where in blocks.items())

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
        """The number of possible sets of decisions."""
        return math.prod(len(decision.choices) for decision in self.decisions)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of everything the space allows: two spaces with the same hash are the same."""
        values = self.config.model_dump(mode="json")
        text = json.dumps([values, self.notes] if self.notes else values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def decode(self, indices: Sequence[int]) -> Architecture:
        """The architecture for one index per decision. Raises UsageError for a wrong number or a wrong index."""
        if len(indices) != len(self.decisions):
            raise UsageError(f"{len(self.decisions)} decisions were expected, not {len(indices)}")
        for decision, index in zip(self.decisions, indices, strict=True):
            if not 0 <= index < len(decision.choices):
                raise UsageError(f"{decision.tag}: there is no choice {index}, only 0 to {len(decision.choices) - 1}")
        each = len(PER_BLOCK)
        taken = [tuple(indices[start : start + each]) for start in range(0, len(indices), each)]
        return self._skeleton(tuple(self._block(number, choices) for number, choices in enumerate(taken)))

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """One index per decision, as `decode` takes them. Raises UsageError if it is not in this space."""
        if len(architecture.blocks) != len(self.config.blocks):
            raise UsageError(
                f"not in this space: {len(architecture.blocks)} blocks, the space has {len(self.config.blocks)}"
            )
        architecture = replace(architecture, blocks=tuple(map(_as_offered, architecture.blocks, self.block_choices)))
        indices: list[int] = []
        decisions = iter(self.decisions)
        for base, choices, block in zip(self.config.blocks, self.block_choices, architecture.blocks, strict=True):
            multiples = {self.config.filters_of(base, multiple): multiple for multiple in choices.filters}
            operator = f"mbconv{block.expansion}" if block.operator == "mbconv" else block.operator
            filters = multiples.get(block.filters)
            taken = (operator, block.kernel, block.se_ratio, block.skip, filters, block.repeats - base.layers)
            for value in taken:
                decision = next(decisions)
                if value not in decision.choices:
                    raise UsageError(
                        f"not in this space: {decision.tag} of {block} is none of {list(decision.choices)}"
                    )
                indices.append(decision.choices.index(value))
        if self.decode(indices) != architecture:
            raise UsageError("not in this space: strides, stem, head or input differ")
        return tuple(indices)

    def sample(self, rng: random.Random) -> Architecture:
        """An architecture with every decision drawn uniformly."""
        return self.decode([rng.randrange(len(decision.choices)) for decision in self.decisions])

    def sample_leaning(self, rng: random.Random) -> Architecture:
        """An architecture whose blocks lean the same way: probabilities for each kind of decision are drawn first.

        Uniform ones lie close together, because the choices of many blocks average out; these reach the space's ends,
        and some of them are as coherent as the networks that people design.
        """
        weights: dict[tuple[str, int], list[float]] = {}
        indices = []
        for decision in self.decisions:
            kind = decision.tag.partition(".")[2], len(decision.choices)
            if kind not in weights:
                weights[kind] = [rng.expovariate(1) ** LEANING for _ in decision.choices]
            indices.append(rng.choices(range(len(decision.choices)), weights[kind])[0])
        return self.decode(indices)

    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        """Another network that differs in one decision. Raises UsageError if the whole space is one network."""
        return self.decode(self.mutate_indices(self.encode(architecture), rng))

    def mutate_indices(self, taken: Sequence[int], rng: random.Random) -> tuple[int, ...]:
        """As `mutate`, for an architecture in the form that `encode` gives."""
        others = [
            [(position, index) for index in range(len(decision.choices)) if index != taken[position]]
            for position, decision in enumerate(self.decisions)
            if len(decision.choices) > 1
        ]
        before = network_id(self.decode(taken))
        # A decision may change nothing: the skip of a layer whose channels change, or anything in a block left out.
        while others:
            of_decision = rng.choice(others)
            position, index = of_decision.pop(rng.randrange(len(of_decision)))
            mutated = (*taken[:position], index, *taken[position + 1 :])
            if network_id(self.decode(mutated)) != before:
                return mutated
            others = [rest for rest in others if rest]
        raise UsageError(f"{self.source}: the space has a single network")

    def on(self, *, size: int | None = None, channels: int | None = None, classes: int | None = None) -> Space:
        """The same space for other pictures; None keeps the present value."""
        size, channels = size or self.config.input.size, channels or self.config.input.channels
        changes = {"input": InputConfig(size=size, channels=channels), "classes": classes or self.config.classes}
        return Space(self.config.model_copy(update=changes), self.source)

    def adapt(self, architecture: Architecture) -> Architecture:
        """A published network on this space's skeleton: its strides, stem, head, input and classes.

        Operators, kernels, filters, layers and activation stay the network's own. Raises UsageError if the number of
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

    def plain(self, operator: str) -> Architecture:
        """The skeleton with nothing chosen but one operator for all blocks ('sep', 'mbconv3'): 3x3, no squeeze-excite.

        Base filters and layers, identity skips. Raises UsageError for an operator that is none.
        """
        if not is_operator(operator):
            raise UsageError(f"{PLAIN}{operator}: {operator!r} is not an operator: conv, sep, mbconvN")
        blocks = [self._made_block(base, operator, 3, 0.0, "identity", 1.0, 0) for base in self.config.blocks]
        return self._skeleton(tuple(blocks))

    def baseline(self, name: str, width: float = 1.0) -> Architecture:
        """What a search has to beat, at a depth multiplier: a network of the zoo, or 'plain-sep' and the like.

        Raises UsageError for a name that is neither, or a network that does not fit the space's blocks.
        """
        if name.startswith(PLAIN):
            return replace(self.plain(name.removeprefix(PLAIN)), width=width)
        return self.adapt(load(name).on(width=width))

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
        """A cache of the blocks that `decode` makes: the same ones over and over."""
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
            filters=self.config.filters_of(base, multiple),
            repeats=base.layers + more,
            expansion=expansion,
            se_ratio=se_ratio,
            skip=skip,
        )


def _as_offered(block: Block, choices: Choices) -> Block:
    """A block in the form that its choices give it: mbconv1 as sep if sep stands for both."""
    if (block.operator, block.expansion) == ("mbconv", 1) and "sep" in choices.operator:
        return replace(block, operator="sep")
    return block


def load_space(path_or_template: str | Path) -> Space:
    """The space in a YAML file, or in a shipped template given by its name.

    The file holds the space itself or has it under the key `space`, as a search template does. Raises UsageError.
    """
    path = Path(path_or_template)
    if not path.suffix:
        path = template_path(str(path_or_template))
    values = read_yaml(path)
    below: Location = ("space",) if "space" in values else ()
    space = values["space"] if below else values
    if not isinstance(space, dict):
        raise UsageError(f"{path}: space: a mapping was expected")
    return Space(parse(SpaceConfig, space, str(path), values.lines, below), str(path))


def make_space(values: dict[str, Any], source: str) -> Space:
    """The space from plain values, as in YAML. Raises UsageError naming source and key."""
    return Space(parse(SpaceConfig, values, source, {}, ("space",)), source)


def template_path(name: str) -> Path:
    """The shipped template of that name. Raises UsageError, listing the names that exist."""
    path = folder("templates") / f"{name}.yaml"
    if not paths.is_file(path):
        names = sorted(entry.stem for entry in folder("templates").glob("*.yaml"))
        raise UsageError(
            f"no template called {name!r}: available: {', '.join(names)}; a file of your own ends in .yaml"
        )
    return path
