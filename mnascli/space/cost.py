"""Parameters and multiply-adds, counted from the layers.

As the paper counts: convolutions, squeeze-excite and the classifier; batch norm and biases are parameters but not
multiply-adds, batch norm's running statistics are neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

from mnascli.space.architecture import Architecture
from mnascli.space.layers import lower
from mnascli.space.ops import AveragePool, Conv, Dense, Dropout, GlobalMean, Op, SqueezeExcite


@dataclass(frozen=True, slots=True)
class Cost:
    """Trainable `parameters`, and `multiply_adds` for one picture."""

    parameters: int = 0
    multiply_adds: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.parameters + other.parameters, self.multiply_adds + other.multiply_adds)


def count(architecture: Architecture) -> Cost:
    """The cost of a whole network."""
    return sum((op_cost(op) for layer in lower(architecture) for op in layer.ops), Cost())


@singledispatch
def op_cost(op: Op) -> Cost:
    """The cost of one op of the lowering."""
    raise TypeError(f"no cost for {type(op).__name__}")


@op_cost.register
def _(op: Conv) -> Cost:
    weights = op.kernel**2 * op.out_channels * (1 if op.depthwise else op.in_channels)
    return Cost(weights + 2 * op.out_channels, weights * op.out_size**2)


@op_cost.register
def _(op: SqueezeExcite) -> Cost:
    weights = 2 * op.channels * op.reduced
    return Cost(weights + op.reduced + op.channels, weights)


@op_cost.register
def _(op: Dense) -> Cost:
    weights = op.in_features * op.out_features
    return Cost(weights + op.out_features, weights)


@op_cost.register(GlobalMean)
@op_cost.register(Dropout)
@op_cost.register(AveragePool)
def _(op: Op) -> Cost:
    return Cost()
