"""Mixup (Zhang et al., 2018) and CutMix (Yun et al., 2019): pictures and their labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mnascli.training.recipe import Recipe


@dataclass(frozen=True)
class MixedLabels:
    """The targets of a batch: `labels` (N,) with the weight `own`, `others` (N,) with the rest."""

    labels: Tensor
    others: Tensor | None = None
    own: float = 1.0

    def chunk(self, pieces: int) -> list[MixedLabels]:
        """Cut along the batch as Tensor.chunk does."""
        if self.others is None:
            return [MixedLabels(labels) for labels in self.labels.chunk(pieces)]
        pairs = zip(self.labels.chunk(pieces), self.others.chunk(pieces), strict=True)
        return [MixedLabels(labels, others, self.own) for labels, others in pairs]


def mix(images: Tensor, labels: Tensor, recipe: Recipe, rng: np.random.Generator) -> tuple[Tensor, MixedLabels]:
    """A batch (N, channels, height, width) with neighbours mixed, if the recipe says so, and its targets.

    Each picture's partner is the one beside it (0 and 1, 2 and 3, ...), so that a batch shared by several processes is
    mixed as it would be in one. The last picture is mixed with itself if it has no neighbour.
    """
    if not (recipe.mixup or recipe.cutmix):
        return images, MixedLabels(labels)
    cut = recipe.cutmix > 0 and (recipe.mixup == 0 or rng.random() < 0.5)
    alpha = recipe.cutmix if cut else recipe.mixup
    own = float(rng.beta(alpha, alpha))
    partner = torch.arange(len(images), device=images.device)
    partner = torch.where(partner ^ 1 < len(images), partner ^ 1, partner)
    others = images[partner]
    if not cut:
        return torch.lerp(others, images, own), MixedLabels(labels, labels[partner], own)
    height, width = images.shape[2:]
    side = (1 - own) ** 0.5
    middle = rng.random(2)
    top, bottom = (round(float(np.clip(middle[0] + sign * side / 2, 0, 1)) * height) for sign in (-1, 1))
    left, right = (round(float(np.clip(middle[1] + sign * side / 2, 0, 1)) * width) for sign in (-1, 1))
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    pasted = (bottom - top) * (right - left) / (height * width)
    return mixed, MixedLabels(labels, labels[partner], 1 - pasted)
