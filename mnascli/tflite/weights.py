"""Where the numbers of a .tflite come from: a trained network or a seed. Names and shapes are torch's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mnascli.errors import UsageError

Array = npt.NDArray[np.float32]


class Weights(Protocol):
    """A source of weight arrays by their names in the torch network's state dict."""

    def take(self, name: str, shape: tuple[int, ...], mean: float = 0.0, std: float = 0.0) -> Array:
        """The array of that name; a source that has to invent it draws it with this mean and standard deviation."""

    def finish(self) -> None:
        """Called when all weights of the network have been taken."""


class Drawn:
    """Random weights that depend only on the seed and the order of the layers."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def take(self, name: str, shape: tuple[int, ...], mean: float = 0.0, std: float = 0.0) -> Array:
        if std == 0:
            return np.full(shape, mean, np.float32)
        # Uniform, not normal: the latency is the same, and millions of normals would take most of the writer's time.
        values = self._generator.random(shape, np.float32)
        values -= np.float32(0.5)
        values *= np.float32(std * math.sqrt(12))
        values += np.float32(mean)
        return values

    def finish(self) -> None:
        pass


class Trained:
    """Weights of a torch state dict (tensors or arrays). Raises UsageError if they do not fit the architecture."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: value for name, value in values.items() if not name.endswith(".num_batches_tracked")}

    def take(self, name: str, shape: tuple[int, ...], mean: float = 0.0, std: float = 0.0) -> Array:
        if name not in self._values:
            raise UsageError(f"the weights are for another architecture: {name} is missing")
        value = self._values.pop(name)
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, np.float32)
        if array.shape != shape:
            raise UsageError(f"the weights are for another architecture: {name} is {array.shape}, not {shape}")
        return array

    def finish(self) -> None:
        if self._values:
            raise UsageError(f"the weights are for another architecture: it has no {next(iter(self._values))}")


def convolution(weights: Weights, name: str, shape: tuple[int, int, int, int], fan_out: int) -> Array:
    """A kernel, (out, in, k, k); if drawn, with the official code's standard deviation."""
    return weights.take(f"{name}.weight", shape, std=math.sqrt(2 / fan_out))


def batch_norm(weights: Weights, name: str, channels: int, epsilon: float) -> tuple[Array, Array]:
    """Batch norm of a trained network as a factor and an offset, each (channels,)."""
    shape = (channels,)
    gamma, beta = weights.take(f"{name}.weight", shape, mean=1.0), weights.take(f"{name}.bias", shape)
    mean, variance = weights.take(f"{name}.running_mean", shape), weights.take(f"{name}.running_var", shape, mean=1.0)
    factor = gamma / np.sqrt(variance + np.float32(epsilon))
    return factor, beta - mean * factor
