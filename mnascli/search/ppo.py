"""The paper's searcher: NASNet's controller, an LSTM that emits one decision after another, trained with PPO.

Numbers from NASNet (1707.07012, appendix A): one layer of 100 hidden units, weights uniform in +-0.1, learning rate
0.00035, entropy 0.00001, a moving average of rewards with weight 0.95 as baseline, minibatches of 20 architectures. The
clip of 0.2 is the PPO paper's; the passes over a minibatch were never published. They suit the paper's 8,000 trials.

For small budgets other values were tuned on the synthetic landscapes of benchmarks/search/searchers.py:
learning_rate 0.008, batch_size 8, baseline 0.8, entropy 0.1 and normalize for 100 to 200 trials; for some 36,
learning_rate 0.012 and batch_size 4. There the defaults are no better than random search up to 200 trials, and far
better at 1,000. The entropy goes with normalize, without which it would outweigh rewards that differ by hundredths.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from mnascli.schema import Schema
from mnascli.search.searcher import Indices, Searcher
from mnascli.space import Space

OUTLIER = 3.0  # times the median size of a batch's advantages: those beyond are cut to it (normalize)

DRAWN = 64  # sequences, to estimate how likely a choice is


class PpoOptions(Schema):
    hidden: int = Field(100, ge=1, le=10_000, description="Units of the LSTM.")
    init: float = Field(0.1, ge=0, le=10, description="Weights start uniform within plus or minus this.")
    learning_rate: float = Field(0.00035, gt=0, le=10, description="Learning rate of Adam.")
    batch_size: int = Field(20, ge=1, le=100_000, description="Results per learning step.")
    epochs: int = Field(4, ge=1, le=1000, description="Passes over a batch.")
    clip: float = Field(0.2, gt=0, le=100, description="How far the probability ratio may move from 1 (PPO's epsilon).")
    entropy: float = Field(0.00001, ge=0, le=1000, description="Weight of the entropy bonus.")
    baseline: float = Field(0.95, ge=0, lt=1, description="Weight of the past in the moving average of rewards.")
    normalize: bool = Field(
        False, description="Divide advantages by their median size and clip them at 3: a failure cannot drown the rest."
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """For computations as small as the controller's: distributing them over cores takes longer than doing them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Controller(nn.Module):
    """p(decision | those before it): embedding of the previous choice -> LSTM -> logits of this decision's choices.

    All choices of all decisions share one numbering; token 0 is the start. An embedding thus says both which decision
    it was and what was chosen. In double precision, so that proposals do not depend on the order of a sum over threads.
    """

    def __init__(self, counts: list[int], hidden: int, init: float, generator: torch.Generator) -> None:
        super().__init__()
        total, widest = sum(counts), max(counts)
        with torch.random.fork_rng(devices=[]):  # torch's own initialisation draws from the global generator
            self.embedding = nn.Embedding(1 + total, hidden, dtype=torch.float64)
            self.lstm = nn.LSTM(hidden, hidden, batch_first=True, dtype=torch.float64)
            self.output = nn.Linear(hidden, total, dtype=torch.float64)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-init, init, generator=generator)
        offsets = [sum(counts[:position]) for position in range(len(counts))]
        self.offsets = torch.tensor(offsets)
        columns = torch.arange(widest).expand(len(counts), widest)
        self.absent = columns >= torch.tensor(counts)[:, None]  # (decisions, widest)
        self.columns = (columns + self.offsets[:, None]).masked_fill(self.absent, 0)

    def log_p(self, choices: Tensor) -> Tensor:
        """(batch, decisions) of choices -> (batch, decisions, widest) of log p(choice | those before it)."""
        tokens = 1 + self.offsets[:-1] + choices[:, :-1]
        start = torch.zeros(len(choices), 1, dtype=torch.int64)
        states, _ = self.lstm(self.embedding(torch.cat([start, tokens], dim=1)))
        weight, bias = self.output.weight[self.columns], self.output.bias[self.columns]
        logits = torch.einsum("bdh,dwh->bdw", states, weight) + bias
        return logits.masked_fill(self.absent, -1e9).log_softmax(dim=-1)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`count` sequences and the log probabilities of their choices, both (count, decisions)."""
        token, state = torch.zeros(count, 1, dtype=torch.int64), None
        choices, log_p = [], []
        for position, offset in enumerate(self.offsets.tolist()):
            hidden, state = self.lstm(self.embedding(token), state)
            logits = self.output(hidden[:, 0])[:, self.columns[position]].masked_fill(self.absent[position], -1e9)
            log_choice = logits.log_softmax(dim=-1)
            choice = torch.multinomial(log_choice.exp(), 1, generator=generator)
            choices.append(choice)
            log_p.append(log_choice.gather(1, choice))
            token = 1 + offset + choice
        return torch.cat(choices, dim=1), torch.cat(log_p, dim=1)


class Ppo(Searcher):
    """Samples from the controller; learns each time that `batch_size` results have come in, whatever their grouping."""

    name = "ppo"
    Options = PpoOptions
    options: PpoOptions

    def __init__(self, space: Space, seed: int, options: PpoOptions) -> None:
        super().__init__(space, seed, options)
        self._generator = torch.Generator().manual_seed(seed)
        counts = [len(decision.choices) for decision in space.decisions]
        self._controller = Controller(counts, options.hidden, options.init, self._generator)
        self._optimizer = torch.optim.Adam(self._controller.parameters(), lr=options.learning_rate)
        self._baseline: float | None = None
        # log p of each choice when it was sampled: the clipped ratio is against the policy of that time
        self._asked: dict[Indices, list[float]] = {}
        self._told: list[tuple[Indices, list[float], float]] = []  # choices, log p when sampled, reward

    def probabilities(self) -> dict[str, list[float]]:
        """The mean over sequences drawn from the controller, whose decisions depend on those before them."""
        with one_thread(), torch.no_grad():
            choices, _ = self._controller.sample(DRAWN, torch.Generator().manual_seed(self.seed))
            means = self._controller.log_p(choices).exp().mean(dim=0).tolist()
        pairs = zip(self.space.decisions, means, strict=True)
        return {decision.tag: row[: len(decision.choices)] for decision, row in pairs}

    def _propose(self, count: int) -> list[Indices]:
        if count == 0:
            return []
        with one_thread():
            choices, log_p = self._controller.sample(count, self._generator)
        proposals = [tuple(row) for row in choices.tolist()]
        self._asked.update(zip(proposals, log_p.tolist(), strict=True))
        return proposals

    @one_thread()
    def _learn(self, results: list[tuple[Indices, float]]) -> None:
        for indices, reward in results:
            log_p = self._asked.pop(indices, None) or self._log_p_now(indices)
            self._told.append((indices, log_p, reward))
            if len(self._told) == self.options.batch_size:
                self._update()
                self._told = []

    def _log_p_now(self, indices: Indices) -> list[float]:
        """For what was not sampled, or is reported a second time."""
        choices = torch.tensor([indices])
        with torch.no_grad():
            log_p: list[float] = self._controller.log_p(choices).gather(2, choices[..., None])[0, :, 0].tolist()
        return log_p

    def _update(self) -> None:
        options = self.options
        choices = torch.tensor([indices for indices, _, _ in self._told])
        log_p_then = torch.tensor([log_p for _, log_p, _ in self._told], dtype=torch.float64)
        advantage = self._advantages([reward for _, _, reward in self._told])[:, None]
        for _ in range(options.epochs):
            log_p = self._controller.log_p(choices)
            ratio = (log_p.gather(2, choices[..., None])[..., 0] - log_p_then).exp()
            clipped = ratio.clamp(1 - options.clip, 1 + options.clip)
            gain = torch.minimum(ratio * advantage, clipped * advantage).mean()
            entropy = -(log_p.exp() * log_p).sum(dim=-1).mean()
            self._optimizer.zero_grad()
            (-gain - options.entropy * entropy).backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()

    def _advantages(self, rewards: list[float]) -> Tensor:
        """Rewards above the moving average, which begins at the median of the first batch and then takes these in."""
        if self._baseline is None:
            self._baseline = statistics.median(rewards)
        advantages = torch.tensor(rewards, dtype=torch.float64) - self._baseline
        if self.options.normalize:
            usual = float(advantages.abs().median()) + 1e-8
            advantages = (advantages / usual).clamp(-OUTLIER, OUTLIER)
            rewards = (self._baseline + usual * advantages).tolist()
        for reward in rewards:
            self._baseline += (1 - self.options.baseline) * (reward - self._baseline)
        return advantages

    def _state(self) -> dict[str, Any]:
        return copy.deepcopy(
            {
                "controller": dict(self._controller.state_dict()),
                "optimizer": self._optimizer.state_dict(),
                "generator": self._generator.get_state(),
                "baseline": self._baseline,
                "asked": [[list(indices), log_p] for indices, log_p in self._asked.items()],
                "told": [[list(indices), log_p, reward] for indices, log_p, reward in self._told],
            }
        )

    def _load(self, state: dict[str, Any]) -> None:
        self._controller.load_state_dict(state["controller"])
        self._optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self._generator.set_state(state["generator"])
        self._baseline = state["baseline"]
        self._asked = {tuple(indices): list(log_p) for indices, log_p in state["asked"]}
        self._told = [(tuple(indices), list(log_p), reward) for indices, log_p, reward in state["told"]]
