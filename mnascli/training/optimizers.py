"""The optimizers a recipe can ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from mnascli.training.recipe import Recipe

RMSPROP_DECAY = 0.9
RMSPROP_EPSILON = 1e-3


class RMSpropTF(Optimizer):
    """RMSProp as TensorFlow computes it, and therefore as in the MnasNet paper.

    Epsilon is inside the root, the mean of squares begins at 1, and momentum accumulates what is already multiplied by
    the learning rate: torch's own RMSprop does all three differently. Weight decay is added to the gradient.
    """

    def __init__(self, params: Iterable[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            if not params:
                continue
            for param in params:
                if not self.state[param]:
                    self.state[param] = {"square": torch.ones_like(param), "momentum": torch.zeros_like(param)}
            grads: list[Tensor] = [param.grad for param in params]
            squares = [self.state[param]["square"] for param in params]
            momenta = [self.state[param]["momentum"] for param in params]
            if group["weight_decay"]:
                grads = list(torch._foreach_add(grads, params, alpha=group["weight_decay"]))
            torch._foreach_mul_(squares, RMSPROP_DECAY)
            torch._foreach_addcmul_(squares, grads, grads, 1 - RMSPROP_DECAY)
            roots = torch._foreach_add(squares, RMSPROP_EPSILON)
            torch._foreach_sqrt_(roots)
            torch._foreach_mul_(momenta, group["momentum"])
            torch._foreach_addcdiv_(momenta, grads, roots, group["lr"])
            torch._foreach_sub_(params, momenta)


def make_optimizer(network: nn.Module, recipe: Recipe) -> Optimizer:
    """The recipe's optimizer; weight decay only on matrices and kernels, not on batch norm and biases."""
    params = [param for param in network.parameters() if param.requires_grad]
    groups = [
        {"params": [param for param in params if param.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [param for param in params if param.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "rmsprop":
        return RMSpropTF(groups, lr=recipe.learning_rate, momentum=recipe.momentum)
    # One fused kernel per step: with the many small tensors of a small network, the usual loop is slower.
    if recipe.optimizer == "adamw":
        return AdamW(groups, lr=recipe.learning_rate, fused=True)
    sgd = SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True)
    if recipe.momentum:
        # The kernel needs a momentum for all weights or none; each step trains different weights of a supernet.
        for param in params:
            sgd.state[param]["momentum_buffer"] = torch.zeros_like(param)
    return sgd
