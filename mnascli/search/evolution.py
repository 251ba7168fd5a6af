"""Regularized evolution (Real et al., 1802.01548): the best of a random sample is mutated, the oldest one dies.

Defaults are the source's: population 100, sample 25, and mutations that change one decision. Our additions: mutations
that know the space (a block takes the choices of another, children take whole blocks of two parents), many children,
screened by a model of the rewards (screen.py), founders whose blocks lean the same way, and no network proposed twice
(seen.py). For 50 to 200 trials founders 15, population 30, sample 10, children 200, crossover 0.3 and blocks 0.3 were
tuned on the surrogate of benchmarks/search/table with ten seeds that the published comparison does not use: see
docs/benchmarks.md.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from mnascli.errors import UsageError
from mnascli.schema import Schema
from mnascli.search.screen import Screen
from mnascli.search.searcher import Indices, Searcher
from mnascli.search.seen import Seen
from mnascli.space import Space
from mnascli.space.configuration import PER_BLOCK

DECISIONS = len(PER_BLOCK)  # of a block; they are consecutive
NOVELTY_TRIES = 50  # founders, or children, rejected as known networks before one is taken anyway
MOST_MUTATIONS = 5  # of a child: one, or more where everything near good parents is known


class EvolutionOptions(Schema):
    population: int = Field(
        100, ge=2, le=1_000_000, description="Size of the living population; the first ones are random."
    )
    founders: int | None = Field(
        None, ge=1, le=1_000_000, description="Random ones before the first child; null: a population."
    )
    leaning: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of founders whose blocks lean the same way, as in networks by hand; others are uniform.",
    )
    sample: int = Field(25, ge=1, le=1_000_000, description="How many of them are drawn; the best of these is mutated.")
    blocks: float = Field(0.0, ge=0, le=1, description="Share of mutations that give a block what another block has.")
    crossover: float = Field(0.0, ge=0, le=1, description="Share of children that have blocks from two parents.")
    children: int = Field(
        1, ge=1, le=100_000, description="Children made per proposal, of which a model of the rewards picks one."
    )
    noise: float = Field(0.5, gt=0, lt=1, description="Share of the rewards' variance that this model treats as noise.")


class Evolution(Searcher):
    """Random architectures until the population is full, then children that differ from a good one in one decision."""

    name = "evolution"
    Options = EvolutionOptions
    options: EvolutionOptions

    def __init__(self, space: Space, seed: int, options: EvolutionOptions) -> None:
        super().__init__(space, seed, options)
        self._rng = random.Random(seed)
        self._population: deque[tuple[Indices, float]] = deque(maxlen=options.population)
        self._waiting: deque[Indices] = deque(maxlen=options.population)
        self._seen = Seen(space)
        self._asked = 0
        self._screen = Screen(space, options.noise)
        self._is_single = False  # one network is all the space

    def probabilities(self) -> dict[str, list[float]]:
        """The share of the living population that made each choice."""
        living = [indices for indices, _ in self._population]
        columns = zip(self.space.decisions, zip(*living, strict=True), strict=True) if living else ()
        return {
            decision.tag: [taken.count(choice) / len(living) for choice in range(len(decision.choices))]
            for decision, taken in columns
        }

    def _propose(self, count: int) -> list[Indices]:
        return [self._next() for _ in range(count)]

    def _next(self) -> Indices:
        founding = self._asked < (self.options.founders or self.options.population) or not self._population
        proposals = self._founders() if founding else self._children()
        first = next(proposals)
        # Once all of a small space is known, known networks are proposed again.
        proposal = next((one for one in itertools.chain([first], proposals) if one not in self._seen), first)
        self._asked += 1
        self._seen.add(proposal)
        self._waiting.append(proposal)
        return proposal

    def _founders(self) -> Iterator[Indices]:
        for _ in range(NOVELTY_TRIES):
            # No draw for it where none is wanted: what a seed gave before, it gives.
            leans = self.options.leaning > 0 and self._rng.random() < self.options.leaning
            sampled = self.space.sample_leaning(self._rng) if leans else self.space.sample(self._rng)
            yield self.space.encode(sampled)

    def _children(self) -> Iterator[Indices]:
        """Children one by one, or of every few the one that the screen values most; the later, the more mutated."""
        litters = max(1, NOVELTY_TRIES // MOST_MUTATIONS // self.options.children)
        for mutations in range(1, MOST_MUTATIONS + 1):
            for _ in range(litters):
                litter = [self._mutant(mutations) for _ in range(self.options.children)]
                if len(litter) == 1:
                    yield litter[0]
                    continue
                values = self._screen.value(self._screen.draw(self._rng), litter)
                yield from (litter[place] for place in (-values).argsort(kind="stable"))

    def _mutant(self, mutations: int) -> Indices:
        child = self._mutated(self._parent())
        for _ in range(mutations - 1):
            child = self._mutated(child)
        return child

    def _mutated(self, parent: Indices) -> Indices:
        if self._rng.random() < self.options.crossover:
            parent = self._crossed(parent, self._parent())
        if self._rng.random() < self.options.blocks:
            return self._with_block_copied(parent)
        if self._is_single:
            return parent
        try:
            return self.space.mutate_indices(parent, self._rng)
        except UsageError:
            self._is_single = True
            return parent

    def _parent(self) -> Indices:
        drawn = self._rng.sample(list(self._population), min(self.options.sample, len(self._population)))
        return max(drawn, key=lambda member: member[1])[0]

    def _crossed(self, one: Indices, other: Indices) -> Indices:
        """Each block as in one parent or the other."""
        child: list[int] = []
        for start in range(0, len(one), DECISIONS):
            child += self._rng.choice((one, other))[start : start + DECISIONS]
        return tuple(child)

    def _with_block_copied(self, parent: Indices) -> Indices:
        """A block takes the choices of another one, as far as it offers them."""
        child = list(parent)
        to, of = (DECISIONS * self._rng.randrange(len(parent) // DECISIONS) for _ in range(2))
        for place in range(DECISIONS):
            taken = self.space.decisions[of + place].choices[parent[of + place]]
            choices = self.space.decisions[to + place].choices
            if taken in choices:
                child[to + place] = choices.index(taken)
        return tuple(child)

    def _learn(self, results: list[tuple[Indices, float]]) -> None:
        for indices, reward in results:
            if indices in self._waiting:
                self._waiting.remove(indices)
            self._population.append((indices, reward))
            self._seen.add(indices)
            if self.options.children > 1:
                self._screen.learn(indices, reward)

    def _state(self) -> dict[str, Any]:
        version, numbers, _ = self._rng.getstate()
        return {
            "rng": [version, list(numbers)],
            "population": [[list(indices), reward] for indices, reward in self._population],
            "waiting": [list(indices) for indices in self._waiting],
            "seen": self._seen.state(),
            "asked": self._asked,
            "screen": [[list(indices), reward] for indices, reward in self._screen.results],
        }

    def _load(self, state: dict[str, Any]) -> None:
        version, numbers = state["rng"]
        self._rng.setstate((version, tuple(numbers), None))
        self._population = deque(((tuple(i), r) for i, r in state["population"]), maxlen=self.options.population)
        self._waiting = deque((tuple(i) for i in state["waiting"]), maxlen=self.options.population)
        self._seen.load(state.get("seen", ""))  # states of earlier versions have none
        self._asked = state["asked"]
        for indices, reward in state["screen"]:
            self._screen.learn(tuple(indices), reward)
