"""TuNAS's searcher (2008.06120): an independent softmax for every decision, trained with REINFORCE.

From the source: logits begin at zero, Adam with beta1 = 0, a moving average of rewards with weight 0.95 as baseline,
entropy 0. Its learning rate is 0.0003 for 256 pictures, thus 0.0048 for its batches of 4,096, and rises tenfold over
20,000 steps, each of which has a candidate for every core of a TPU. Here a step has one candidate, evaluated on a
batch of the supernet's training, and quick-supernet leaves 3,000 steps to the policy: at 0.0003 it would end as it
began; at 0.03, our default, it learns (tests/search/test_each_searcher.py). For 36 to 200 trials learning_rate 0.15 and
baseline 0.8 were tuned on the synthetic landscapes of benchmarks/search/searchers.py.
"""

from __future__ import annotations

import math
import random
from typing import Any

from pydantic import Field

from mnascli.schema import Schema
from mnascli.search.searcher import Indices, Searcher
from mnascli.space import Space

BETA2, EPSILON = 0.999, 1e-8  # Adam's own


class ReinforceOptions(Schema):
    learning_rate: float = Field(0.03, gt=0, le=10, description="Learning rate of Adam (beta1 = 0).")
    baseline: float = Field(0.95, ge=0, lt=1, description="Weight of the past in the moving average of rewards.")
    entropy: float = Field(0.0, ge=0, le=1000, description="Weight of the entropy bonus.")


class Reinforce(Searcher):
    """Samples every decision independently of the others; each result is one step."""

    name = "reinforce"
    Options = ReinforceOptions
    options: ReinforceOptions

    def __init__(self, space: Space, seed: int, options: ReinforceOptions) -> None:
        super().__init__(space, seed, options)
        self._rng = random.Random(seed)
        self._logits = [[0.0] * len(decision.choices) for decision in space.decisions]
        self._squares = [[0.0] * len(decision.choices) for decision in space.decisions]  # Adam's second moment
        self._steps = 0
        self._baseline: float | None = None

    def probabilities(self) -> dict[str, list[float]]:
        """The softmax of each decision, by its tag."""
        pairs = zip(self.space.decisions, self._logits, strict=True)
        return {decision.tag: softmax(logits) for decision, logits in pairs}

    def _propose(self, count: int) -> list[Indices]:
        policy = [softmax(logits) for logits in self._logits]
        return [tuple(self._rng.choices(range(len(p)), p)[0] for p in policy) for _ in range(count)]

    def _learn(self, results: list[tuple[Indices, float]]) -> None:
        for indices, reward in results:
            if self._baseline is None:
                self._baseline = reward
            advantage = reward - self._baseline
            self._baseline += (1 - self.options.baseline) * advantage
            self._step(indices, advantage)

    def _step(self, indices: Indices, advantage: float) -> None:
        """One step of Adam up the gradient of advantage * log p(indices) + entropy weight * entropy."""
        self._steps += 1
        correction = 1 - BETA2**self._steps
        for taken, logits, squares in zip(indices, self._logits, self._squares, strict=True):
            p = softmax(logits)
            entropy = -sum(q * math.log(q) for q in p if q > 0)
            for choice, q in enumerate(p):
                gradient = advantage * ((choice == taken) - q)
                if q > 0:
                    gradient -= self.options.entropy * q * (math.log(q) + entropy)
                squares[choice] = BETA2 * squares[choice] + (1 - BETA2) * gradient**2
                step = gradient / (math.sqrt(squares[choice] / correction) + EPSILON)
                logits[choice] += self.options.learning_rate * step

    def _state(self) -> dict[str, Any]:
        version, numbers, _ = self._rng.getstate()
        return {
            "rng": [version, list(numbers)],
            "logits": [list(logits) for logits in self._logits],
            "squares": [list(squares) for squares in self._squares],
            "steps": self._steps,
            "baseline": self._baseline,
        }

    def _load(self, state: dict[str, Any]) -> None:
        version, numbers = state["rng"]
        self._rng.setstate((version, tuple(numbers), None))
        self._logits = [list(logits) for logits in state["logits"]]
        self._squares = [list(squares) for squares in state["squares"]]
        self._steps, self._baseline = state["steps"], state["baseline"]


def softmax(logits: list[float]) -> list[float]:
    top = max(logits)
    weights = [math.exp(logit - top) for logit in logits]
    total = sum(weights)
    return [weight / total for weight in weights]
