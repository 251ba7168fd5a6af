"""Classification is a task, mixed or not; its loss and score are what they are by hand."""

import numpy as np
import pytest
import torch
from task_conformance import TaskConformance
from torch import nn
from training_helpers import tiny_data, tiny_network

from mnascli.data.dataset import Dataset
from mnascli.training.classification import CLASSIFICATION, Classification
from mnascli.training.recipe import Recipe


class TestClassification(TaskConformance):
    @pytest.fixture
    def task(self) -> Classification:
        return CLASSIFICATION

    @pytest.fixture
    def dataset(self) -> Dataset:
        return tiny_data()

    @pytest.fixture
    def network(self) -> nn.Module:
        return tiny_network()


class TestMixedClassification(TestClassification):
    @pytest.fixture
    def recipe(self) -> Recipe:
        return Recipe(mixup=0.2, cutmix=1.0, label_smoothing=0.1)


def test_loss_and_score_by_hand() -> None:
    inputs, labels = torch.zeros(2, 1, 4, 4), np.array([0, 1])
    _, targets = CLASSIFICATION.targets(inputs, labels, Recipe(), np.random.default_rng(0))
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]))
    loss = CLASSIFICATION.loss(logits, targets, Recipe(label_smoothing=0.0))
    assert loss.item() == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert CLASSIFICATION.score_of(logits, labels) == 0.5
