import math

import torch
from torch import nn
from training_helpers import tiny_network

from mnascli.training.optimizers import RMSpropTF, make_optimizer
from mnascli.training.recipe import Recipe


def test_rmsprop_is_tensorflows():
    """ms = 0.9 ms + 0.1 g^2 from 1; mom = m mom + lr g / sqrt(ms + eps); w -= mom, by hand in Python floats."""
    weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = RMSpropTF([{"params": [weight], "weight_decay": 0.1}], lr=0.05, momentum=0.9)
    expected, square, momentum = [1.0, -2.0], [1.0, 1.0], [0.0, 0.0]
    for step in range(5):
        optimizer.zero_grad()
        (weight**2).sum().mul(0.5 + step).backward()
        optimizer.step()
        for i, value in enumerate(expected):
            gradient = 2 * (0.5 + step) * value + 0.1 * value
            square[i] = 0.9 * square[i] + 0.1 * gradient**2
            momentum[i] = 0.9 * momentum[i] + 0.05 * gradient / math.sqrt(square[i] + 1e-3)
            expected[i] = value - momentum[i]
    torch.testing.assert_close(weight.detach(), torch.tensor(expected, dtype=torch.float64))


def test_batch_norm_and_biases_do_not_decay():
    network = tiny_network()
    for kind in ("rmsprop", "sgd", "adamw"):
        decayed, free = make_optimizer(network, Recipe(optimizer=kind, weight_decay=0.5)).param_groups
        assert (decayed["weight_decay"], free["weight_decay"]) == (0.5, 0.0)
        assert len(decayed["params"]) + len(free["params"]) == len(list(network.parameters()))
        names = {id(value): name for name, value in network.named_parameters()}
        assert all(".bn." in names[id(p)] or names[id(p)].endswith("bias") for p in free["params"])
        assert not any(".bn." in names[id(p)] or names[id(p)].endswith("bias") for p in decayed["params"])
