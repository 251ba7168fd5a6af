"""What every task does. Inherit from TaskConformance and give the fixtures."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mnascli.data.dataset import Dataset
from mnascli.training.batches import ToInput
from mnascli.training.processes import Group
from mnascli.training.recipe import Recipe
from mnascli.training.task import Task


class TaskConformance:
    @pytest.fixture
    def task(self) -> Task:
        raise NotImplementedError

    @pytest.fixture
    def dataset(self) -> Dataset:
        """Small, and such that the network learns something of it in some ten steps on one batch."""
        raise NotImplementedError

    @pytest.fixture
    def network(self) -> nn.Module:
        """A new network for the data, the same each time."""
        raise NotImplementedError

    @pytest.fixture
    def recipe(self) -> Recipe:
        return Recipe()

    def batch(self, task: Task, dataset: Dataset, recipe: Recipe) -> tuple[torch.Tensor, Any]:
        part = dataset.train
        inputs = ToInput(dataset, torch.device("cpu"), channels_last=False)(part.images[:16])
        return task.targets(inputs, part.labels[:16], recipe, np.random.default_rng(0))

    def test_a_guess_has_about_the_loss_of_a_guess(
        self, task: Task, dataset: Dataset, network: nn.Module, recipe: Recipe
    ) -> None:
        inputs, targets = self.batch(task, dataset, recipe)
        loss = task.loss(network(inputs), targets, recipe)
        assert loss.shape == () and loss.dtype == torch.float32
        assert loss.item() == pytest.approx(task.loss_of_a_guess(dataset), rel=0.5)

    def test_the_loss_falls_where_the_network_learns(
        self, task: Task, dataset: Dataset, network: nn.Module, recipe: Recipe
    ) -> None:
        inputs, targets = self.batch(task, dataset, recipe)
        optimizer = torch.optim.Adam(network.parameters(), 0.01)
        losses = []
        for _ in range(12):
            loss = task.loss(network(inputs), targets, recipe)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert all(math.isfinite(loss) for loss in losses) and losses[-1] < 0.8 * losses[0]

    def test_pieces_have_the_loss_of_the_whole(
        self, task: Task, dataset: Dataset, network: nn.Module, recipe: Recipe
    ) -> None:
        """As gradients are summed over parts of a batch."""
        network.eval()
        inputs, targets = self.batch(task, dataset, recipe)
        with torch.no_grad():
            whole = task.loss(network(inputs), targets, recipe)
            pieces = zip(inputs.chunk(2), targets.chunk(2), strict=True)
            parts = [task.loss(network(piece), wanted, recipe) * len(piece) / len(inputs) for piece, wanted in pieces]
        torch.testing.assert_close(sum(parts), whole, rtol=1e-4, atol=1e-5)

    def test_the_same_seed_gives_the_same_targets(self, task: Task, dataset: Dataset, recipe: Recipe) -> None:
        (one, first), (other, second) = (self.batch(task, dataset, recipe) for _ in range(2))
        assert torch.equal(one, other)
        assert repr(first) == repr(second)

    def test_a_score_is_a_fraction_of_what_could_be(self, task: Task, dataset: Dataset, network: nn.Module) -> None:
        score = task.score(network, dataset.validation, dataset, Group())
        assert 0 <= score <= 1 and task.metric
        part = dataset.validation
        to_input = ToInput(dataset, torch.device("cpu"), channels_last=False)
        with torch.no_grad():
            outputs = network.eval()(to_input(part.images[:8]))
        assert 0 <= task.score_of(outputs, part.labels[:8]) <= 1
