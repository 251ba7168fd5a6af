"""A linear model of the rewards that screens proposals: of many children the most promising is tried.

As in predictor-guided evolution (NPENAS, 2003.12857), with the simplest possible predictor: each choice of each
decision has a weight, the sum of one of its own and one that it shares with the same choice of all other blocks: few
trials teach little about a block, but soon something about an operator. Rewards enter by their rank, which is robust to
failures and scale. Proposals are scored with
weights drawn from the posterior (Thompson sampling), so that little knowledge explores and much knowledge exploits,
and several proposals at once differ.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from mnascli.search.searcher import Indices
from mnascli.space import Space

WINDOW = 1000  # results it learns from, the latest: the cost of a draw does not grow with the search


class Screen:
    """Learns from (indices, reward); `draw` gives one plausible scoring of proposals. Its state is `results`."""

    def __init__(self, space: Space, noise: float) -> None:
        """`noise` is the share of the rewards' variance that the choices do not explain."""
        counts = [len(decision.choices) for decision in space.decisions]
        self._offsets = np.cumsum([0, *counts[:-1]])
        self._size = sum(counts)
        named = [(one.tag.partition(".")[2], choice) for one in space.decisions for choice in one.choices]
        places = {name: place for place, name in enumerate(dict.fromkeys(named))}
        self._shared = np.zeros((self._size, len(places)))
        """Which shared weight each choice has."""
        self._shared[range(self._size), [places[name] for name in named]] = 1
        # The variance of a choice's weight, half of it shared, is such that all decisions together explain what is not
        # noise.
        self._ratio = noise / ((1 - noise) / len(counts) / 2)
        self._noise = noise
        self.results: deque[tuple[Indices, float]] = deque(maxlen=WINDOW)
        self._posterior: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None

    def learn(self, indices: Indices, reward: float) -> None:
        self.results.append((indices, reward))
        self._posterior = None

    def draw(self, rng: random.Random) -> npt.NDArray[np.float64]:
        """One weight for each choice of each decision, drawn from the posterior given the results."""
        if self._posterior is None:
            self._posterior = self._fit()
        mean, root = self._posterior
        drawn: npt.NDArray[np.float64] = mean + root @ np.array([rng.gauss(0, 1) for _ in range(len(mean))])
        own, shared = np.split(drawn, [self._size])
        return own + self._shared @ shared

    def value(self, weights: npt.NDArray[np.float64], proposals: Sequence[Indices]) -> npt.NDArray[np.float64]:
        """The score of each proposal."""
        values: npt.NDArray[np.float64] = weights[np.array(proposals) + self._offsets].sum(1)
        return values

    def _fit(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean and square root of the covariance of the weights: Bayesian linear regression."""
        features = np.zeros((len(self.results), self._size))
        for row, (indices, _) in zip(features, self.results, strict=True):
            row[np.array(indices) + self._offsets] = 1
        features = np.hstack([features, features @ self._shared])
        precision = features.T @ features + self._ratio * np.eye(features.shape[1])
        covariance = np.linalg.inv(precision)
        mean = covariance @ (features.T @ normal_scores([reward for _, reward in self.results]))
        return mean, np.linalg.cholesky(self._noise * covariance)


def normal_scores(rewards: Sequence[float]) -> npt.NDArray[np.float64]:
    """For each reward the normal quantile of its rank; equal ones get the same."""
    ordered = np.sort(rewards)
    middle = (np.searchsorted(ordered, rewards, "left") + np.searchsorted(ordered, rewards, "right")) / 2
    normal = NormalDist()
    return np.array([normal.inv_cdf(rank / len(rewards)) for rank in np.clip(middle, 0.5, len(rewards) - 0.5)])
