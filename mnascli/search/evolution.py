"""Regularized evolution (Real et al., 1802.01548): the best of a random sample is mutated, the oldest one dies.

Defaults are the source's, population 100 and sample 25. For 36 to 200 trials population 20 and sample 10 were
found with the made-up landscapes of benchmarks/searchers.py.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Any

from pydantic import Field

from mnascli.schema import Schema
from mnascli.search.searcher import Indices, Searcher
from mnascli.space import Space

NOVELTY_TRIES = 20  # mutants that are thrown away for being in the population or in flight before one is taken anyway


class EvolutionOptions(Schema):
    population: int = Field(100, ge=2, description="Architectures that are alive; the first ones are random.")
    sample: int = Field(25, ge=1, description="How many of them are drawn, of which the best is mutated.")


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
        self._asked = 0

    def _propose(self, count: int) -> list[Indices]:
        return [self._next() for _ in range(count)]

    def _next(self) -> Indices:
        founding = self._asked < self.options.population or not self._population
        for _ in range(NOVELTY_TRIES):
            child = self._founder() if founding else self._mutant()
            if child not in self._waiting and all(child != indices for indices, _ in self._population):
                break
        self._asked += 1
        self._waiting.append(child)
        return child

    def _founder(self) -> Indices:
        return self.space.encode(self.space.sample(self._rng))

    def _mutant(self) -> Indices:
        drawn = self._rng.sample(list(self._population), min(self.options.sample, len(self._population)))
        parent, _ = max(drawn, key=lambda member: member[1])
        if self.space.size == 1:
            return parent
        return self.space.encode(self.space.mutate(self.space.decode(parent), self._rng))

    def _learn(self, results: list[tuple[Indices, float]]) -> None:
        for indices, reward in results:
            if indices in self._waiting:
                self._waiting.remove(indices)
            self._population.append((indices, reward))

    def _state(self) -> dict[str, Any]:
        version, numbers, _ = self._rng.getstate()
        return {
            "rng": [version, list(numbers)],
            "population": [[list(indices), reward] for indices, reward in self._population],
            "waiting": [list(indices) for indices in self._waiting],
            "asked": self._asked,
        }

    def _load(self, state: dict[str, Any]) -> None:
        version, numbers = state["rng"]
        self._rng.setstate((version, tuple(numbers), None))
        self._population = deque(((tuple(i), r) for i, r in state["population"]), maxlen=self.options.population)
        self._waiting = deque((tuple(i) for i in state["waiting"]), maxlen=self.options.population)
        self._asked = state["asked"]
