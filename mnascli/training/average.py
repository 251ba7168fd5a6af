"""The exponential moving average of a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Moving averages of weights and batch norm statistics, as TensorFlow's ExponentialMovingAverage keeps them."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        state = network.state_dict()
        self.live: dict[str, Tensor] = {name: value for name, value in state.items() if value.is_floating_point()}
        self.averages = {name: value.clone() for name, value in self.live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Include the network as it is after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.averages.values()), list(self.live.values()), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network with its averages in place of its weights, for as long as the context lasts."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def apply(self) -> None:
        """Put the averages into the network for good."""
        for name, value in self.live.items():
            value.copy_(self.averages[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, value in self.live.items():
            weights = value.clone()
            value.copy_(self.averages[name])
            self.averages[name].copy_(weights)
