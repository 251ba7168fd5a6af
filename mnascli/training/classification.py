"""The task of classifying pictures."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnascli.data.arrays import Labels
from mnascli.data.dataset import Dataset, Split
from mnascli.training.mixing import MixedLabels, mix
from mnascli.training.processes import Group
from mnascli.training.recipe import Recipe
from mnascli.training.scoring import ALONE, evaluate, scores


class Classification:
    """See `Task`. Labels (N,) are classes from 0, outputs logits (N, classes), the score is top-1 accuracy."""

    metric = "accuracy"

    def targets(
        self, inputs: Tensor, labels: Labels, recipe: Recipe, rng: np.random.Generator
    ) -> tuple[Tensor, MixedLabels]:
        return mix(inputs, torch.from_numpy(labels).to(inputs.device, non_blocking=True), recipe, rng)

    def loss(self, outputs: Tensor, targets: MixedLabels, recipe: Recipe) -> Tensor:
        """Mean cross entropy, computed in float32; for mixed pictures, the weighted mean of both labels' losses."""
        logits, smoothing = outputs.float(), recipe.label_smoothing
        loss = F.cross_entropy(logits, targets.labels, label_smoothing=smoothing)
        if targets.others is None:
            return loss
        other = F.cross_entropy(logits, targets.others, label_smoothing=smoothing)
        return targets.own * loss + (1 - targets.own) * other

    def loss_of_a_guess(self, dataset: Dataset) -> float:
        return math.log(len(dataset.classes))

    def score(self, network: nn.Module, split: Split, dataset: Dataset, group: Group = ALONE) -> float:
        return evaluate(network, split, dataset, group).top1

    def score_of(self, outputs: Tensor, labels: Labels) -> float:
        return scores(outputs.float().cpu().numpy(), labels).top1


CLASSIFICATION = Classification()
