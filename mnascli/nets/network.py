"""An architecture's layers as one torch network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mnascli.nets.modules import init_classifier, make
from mnascli.space.architecture import Architecture
from mnascli.space.heads import ClassifierInit
from mnascli.space.layers import lower
from mnascli.space.ops import AveragePool, Layer


class Residual(nn.Module):
    """One layer: its ops in sequence, and what is added to their result."""

    def __init__(self, layer: Layer, bn_epsilon: float) -> None:
        super().__init__()
        self.ops = tuple(_last(op.name) for op in layer.ops)
        for op in layer.ops:
            self.add_module(_last(op.name), make(op, bn_epsilon))
        self.identity = layer.skip == "identity"
        self.pool = make(layer.skip, bn_epsilon) if isinstance(layer.skip, AveragePool) else None

    def forward(self, x: Tensor) -> Tensor:
        skip = x if self.identity else self.pool(x) if self.pool is not None else None
        for name in self.ops:
            x = self.get_submodule(name)(x)
        return x if skip is None else x + skip


class Network(nn.Module):
    """All layers in sequence: (N, channels, size, size) float -> logits (N, classes).

    Modules form a tree that follows the names of the lowering, and so does the state dict:
    `blocks.2.0.depthwise.conv.weight`.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        layers = lower(architecture)
        self.layers = tuple(layer.name for layer in layers)
        for layer in layers:
            place(self, layer.name, Residual(layer, architecture.bn_epsilon))

    def forward(self, x: Tensor) -> Tensor:
        for name in self.layers:
            x = self.get_submodule(name)(x)
        return x


def build(architecture: Architecture, seed: int | None = None, classifier_init: ClassifierInit = "inputs") -> Network:
    """A freshly initialised network on the CPU, in training mode; the official code's init is "classes".

    With a seed, the weights depend on nothing else and torch's global random state stays as it was; without one they
    are drawn from that state.
    """
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            # Not torch.manual_seed, which would seed the accelerators as well.
            torch.default_generator.manual_seed(seed)
        network = Network(architecture)
        if classifier_init != "inputs":
            dense = network.get_submodule("classifier.dense")
            assert isinstance(dense, nn.Linear)
            init_classifier(dense, classifier_init)
        return network


def place(root: nn.Module, name: str, module: nn.Module) -> None:
    """Register `module` below `root` under a dotted name, with plain modules in between."""
    *parents, last = name.split(".")
    for part in parents:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(last, module)


def _last(name: str) -> str:
    return name.rpartition(".")[2]
