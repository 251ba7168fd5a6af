"""What may be built: architectures, their lowering to layers, their cost, search spaces. Plain data, no torch."""

from mnascli.space.architecture import Architecture, ArchitectureError, Block
from mnascli.space.cost import Cost, count
from mnascli.space.factorized import OneOf, Space, load_space, make_space
from mnascli.space.layers import lower, network_id
from mnascli.space.ops import Layer, Op
from mnascli.space.zoo import ZOO, load

__all__ = [
    "ZOO",
    "Architecture",
    "ArchitectureError",
    "Block",
    "Cost",
    "Layer",
    "OneOf",
    "Op",
    "Space",
    "count",
    "load",
    "load_space",
    "lower",
    "make_space",
    "network_id",
]
