"""The networks that a searcher has met, by their layers, so that it proposes none of them again."""

from __future__ import annotations

from mnascli.search.searcher import Indices
from mnascli.space import Space, network_id

REMEMBERED = 4096  # the latest: a state is saved at each step, and must not grow with the search
DIGITS = 16  # of an id


class Seen:
    """Holds at most `REMEMBERED` networks. Its state is one string."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._ids: dict[str, None] = {}  # in the order in which they were met

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, indices: Indices) -> bool:
        return self._id(indices) in self._ids

    def add(self, indices: Indices) -> None:
        self._ids[self._id(indices)] = None
        if len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]

    def state(self) -> str:
        return "".join(self._ids)

    def load(self, state: str) -> None:
        self._ids = {state[start : start + DIGITS]: None for start in range(0, len(state), DIGITS)}

    def _id(self, indices: Indices) -> str:
        return network_id(self._space.decode(indices))
