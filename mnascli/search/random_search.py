"""Random search that never repeats itself: it walks through the whole space in a random order.

The order is a keyed permutation of the numbers below the size of the space (a Feistel network; numbers that fall
outside are sent through again), so that no choice comes twice, even after 10^5 trials out of 10^18. Choices that give
a network which was proposed before are skipped.
"""

from __future__ import annotations

import hashlib
from typing import Any

from mnascli.schema import Schema
from mnascli.search.searcher import Indices, Searcher
from mnascli.search.seen import Seen
from mnascli.space import Space

ROUNDS = 6
PASSED_OVER = 200  # in a row, as known networks: when hardly any other is left, one is proposed again


class RandomSearch(Searcher):
    """Uniform over the space, without repeats until all networks were proposed; then once more in another order."""

    name = "random"

    def __init__(self, space: Space, seed: int, options: Schema) -> None:
        super().__init__(space, seed, options)
        self._position = 0
        self._seen = Seen(space)  # in this walk

    def _propose(self, count: int) -> list[Indices]:
        return [self._next() for _ in range(count)]

    def _next(self) -> Indices:
        for _ in range(PASSED_OVER):
            if self._position % self.space.size == 0:
                self._seen = Seen(self.space)
            indices = self._at(self._position)
            self._position += 1
            if indices not in self._seen:
                break
        self._seen.add(indices)
        return indices

    def _learn(self, results: list[tuple[Indices, float]]) -> None:
        """It learns nothing."""

    def _state(self) -> dict[str, Any]:
        return {"position": self._position, "seed": self.seed, "seen": self._seen.state()}

    def _load(self, state: dict[str, Any]) -> None:
        self._position, self.seed = state["position"], state["seed"]
        self._seen.load(state.get("seen", ""))  # states of earlier versions have none

    def _at(self, position: int) -> Indices:
        walk, number = divmod(position, self.space.size)
        number = permute(number, self.space.size, f"{self.seed}/{walk}")
        indices = []
        for decision in self.space.decisions:
            number, index = divmod(number, len(decision.choices))
            indices.append(index)
        return tuple(indices)


def permute(number: int, size: int, key: str) -> int:
    """The position of `number` in the random order of 0 .. size-1 that `key` defines."""
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = number >> half, number & mask
        for step in range(ROUNDS):
            digest = hashlib.blake2b(f"{key}/{step}/{right}".encode(), digest_size=16).digest()
            left, right = right, left ^ (int.from_bytes(digest) & mask)
        number = left << half | right
        if number < size:
            return number
