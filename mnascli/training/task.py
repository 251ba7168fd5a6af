"""What is learned: the targets that a network is trained towards, the loss, and the score that says how good it is.

Both training loops ask a task, and know nothing else about what labels mean. `classification.py` is one.
"""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from mnascli.data.dataset import Dataset, Split
from mnascli.training.processes import Group
from mnascli.training.recipe import Recipe


class Targets(Protocol):
    """The targets of a batch."""

    def chunk(self, pieces: int) -> list[Self]:
        """Cut along the batch as Tensor.chunk does."""
        ...


class Task(Protocol):
    """Tests: tests/training/task_conformance.py. `metric` is what a score is called: higher is better, 1 is best."""

    @property
    def metric(self) -> str: ...

    def targets(
        self, inputs: Tensor, labels: npt.NDArray[Any], recipe: Recipe, rng: np.random.Generator
    ) -> tuple[Tensor, Targets]:
        """Inputs (N, channels, height, width), mixed if the recipe says so, and their targets on the same device.

        All randomness is from `rng`. `labels` are those of the data set, one for each input.
        """
        ...

    def loss(self, outputs: Any, targets: Any, recipe: Recipe) -> Tensor:
        """The mean loss over a batch, a scalar, of the network's outputs."""
        ...

    def loss_of_a_guess(self, dataset: Dataset) -> float:
        """Roughly the loss of a network that has learned nothing."""
        ...

    def score(self, network: nn.Module, split: Split, dataset: Dataset, group: Group) -> float:
        """How good a network is on one part, which the processes of a group share. Raises MnasError as `evaluate`."""
        ...

    def score_of(self, outputs: Any, labels: npt.NDArray[Any]) -> float:
        """How good the outputs for one batch are."""
        ...
