"""What every searcher is: `ask`, `tell`, and a state; and how one is made from its name.

A new searcher is one file with a class that fills in the four methods at the end of `Searcher`, and one line in
`SEARCHERS`; tests/search/test_searchers.py then runs against it.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mnascli.errors import MnasError, UsageError
from mnascli.schema import Schema, parse
from mnascli.search.objective import Milliseconds
from mnascli.space import Architecture, Space

# name -> where it is: a module is imported when its searcher is made, because one of them needs torch
SEARCHERS: dict[str, tuple[str, str]] = {
    "ppo": ("mnascli.search.ppo", "Ppo"),
    "reinforce": ("mnascli.search.reinforce", "Reinforce"),
    "evolution": ("mnascli.search.evolution", "Evolution"),
    "random": ("mnascli.search.random_search", "RandomSearch"),
}

Indices = tuple[int, ...]  # one choice for each decision of the space


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a proposed architecture; searchers learn from `reward` alone.

    A trial that failed (crash, NaN, out of memory) has `Objective.failed` as its reward, the worst possible, and
    neither accuracy nor latency. `accuracy` is from 0 to 1, on the validation part; `latency_ms` in milliseconds.
    """

    architecture: Architecture
    reward: float
    accuracy: float | None = None
    latency_ms: Milliseconds | None = None


class Searcher(ABC):
    """Proposes architectures of a space and learns from their rewards.

    All of its randomness comes from `seed`. After `load_state_dict(s)` it continues exactly as the searcher did that
    `s` was taken from. Results may be reported in any grouping, singly or many at a time, even for architectures that
    were never asked for; only their order counts. A state is made of plain numbers, strings, lists, dicts and tensors,
    shares nothing with the searcher, and can be loaded with torch.load(weights_only=True).
    """

    name: ClassVar[str]  # its key in SEARCHERS
    Options: ClassVar[type[Schema]] = Schema

    def __init__(self, space: Space, seed: int, options: Schema) -> None:
        self.space = space
        self.seed = seed
        self.options = options

    def ask(self, count: int) -> list[Architecture]:
        """The next `count` architectures to try."""
        return [self.space.decode(indices) for indices in self._propose(count)]

    def tell(self, results: Sequence[Result]) -> None:
        """Learn from finished trials. Raises UsageError for an architecture outside the space."""
        self._learn([(self.space.encode(result.architecture), result.reward) for result in results])

    def probabilities(self) -> dict[str, list[float]]:
        """How likely each choice of each decision is now, by the decision's tag; empty where nothing is learned.

        Uses none of the searcher's randomness: asking changes no proposal.
        """
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs to continue from here."""
        return {**self._identity(), "state": self._state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state. Raises MnasError for one of another searcher, space, or options."""
        # Options that an older version did not have are at their defaults in its states.
        options = {**type(self).Options().model_dump(), **state.get("options", {})}
        for key, value in self._identity().items():
            if (options if key == "options" else state.get(key)) != value:
                raise MnasError(
                    f"the saved searcher has {key} {state.get(key)!r}, this search has {value!r}: "
                    "resume with the configuration that the run was started with"
                )
        self._load(state["state"])

    def _identity(self) -> dict[str, Any]:
        return {"searcher": self.name, "space": self.space.hash, "options": self.options.model_dump()}

    @abstractmethod
    def _propose(self, count: int) -> list[Indices]: ...

    @abstractmethod
    def _learn(self, results: list[tuple[Indices, float]]) -> None: ...

    @abstractmethod
    def _state(self) -> dict[str, Any]: ...

    @abstractmethod
    def _load(self, state: dict[str, Any]) -> None: ...


def searcher_class(name: str) -> type[Searcher]:
    """The class of a searcher, with its `Options`. Raises UsageError, listing the names that exist."""
    if name not in SEARCHERS:
        raise UsageError(f"no searcher called {name!r}: available: {', '.join(SEARCHERS)}")
    module, class_name = SEARCHERS[name]
    found: type[Searcher] = getattr(importlib.import_module(module), class_name)
    return found


def create_searcher(name: str, space: Space, seed: int = 0, **options: Any) -> Searcher:
    """A searcher by its name, with its own options. Raises UsageError for an unknown name or option."""
    made = searcher_class(name)
    return made(space, seed, parse(made.Options, options, f"options of searcher {name}"))
