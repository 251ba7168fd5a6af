"""Layers straight into a .tflite, operator for operator what litert-torch makes from the torch network.

It takes milliseconds where the conversion takes seconds, so every candidate of a search can be measured. Batch norm is
folded into the convolutions, activations are fused, tensors are (1, size, size, channels).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mnascli.space.architecture import Activation, Architecture
from mnascli.space.layers import lower
from mnascli.space.ops import AveragePool, Conv, Dense, Dropout, GlobalMean, Layer, Op, SqueezeExcite, same_size
from mnascli.tflite.files import replacing
from mnascli.tflite.graph import Graph
from mnascli.tflite.weights import Array, Drawn, Trained, Weights, batch_norm, convolution

Code = schema.BuiltinOperator
SAME, VALID = schema.Padding.SAME, schema.Padding.VALID
FUSED: dict[Activation | None, int] = {
    None: schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
SPATIAL_AXES = np.array([1, 2], np.int32)


def write(
    architecture: Architecture, path: Path | str, weights: Mapping[str, Any] | None = None, seed: int = 0
) -> Path:
    """Write a float .tflite: input "image" (1, size, size, channels), output "logits" (1, classes).

    `weights` is a state dict of `mnascli.nets.build`'s network (tensors or arrays); without it weights are random,
    and the same architecture and seed give the same bytes.
    Raises UsageError if the weights are for another architecture, MnasError if the file cannot be written.
    """
    path = Path(path)
    content = to_bytes(architecture, Drawn(seed) if weights is None else Trained(weights))
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def to_bytes(architecture: Architecture, weights: Weights) -> bytes:
    """The content of the .tflite file of an architecture."""
    graph = Graph()
    image = graph.tensor("image", (1, architecture.size, architecture.size, architecture.channels))
    x = image
    for layer in lower(architecture):
        x = _write_layer(layer, graph, x, weights, architecture.bn_epsilon)
    weights.finish()
    graph.rename(x, "logits")
    return graph.to_bytes({"image": image}, {"logits": x})


def _write_layer(layer: Layer, graph: Graph, x: int, weights: Weights, bn_epsilon: float) -> int:
    # The pool comes before the layer's own ops, as in the torch network.
    skip = write_op(layer.skip, graph, x, weights, bn_epsilon) if isinstance(layer.skip, AveragePool) else x
    for op in layer.ops:
        x = write_op(op, graph, x, weights, bn_epsilon)
    if layer.skip is None:
        return x
    return graph.operator(Code.ADD, [x, skip], f"{layer.name}.add", graph.shape(x), schema.AddOptionsT())


@singledispatch
def write_op(op: Op, graph: Graph, x: int, weights: Weights, bn_epsilon: float) -> int:
    """Append one op of the lowering that reads the tensor `x`; returns its output."""
    raise TypeError(f"no TFLite operator for {type(op).__name__}")


@write_op.register
def _(op: Conv, graph: Graph, x: int, weights: Weights, bn_epsilon: float) -> int:
    inputs = 1 if op.depthwise else op.in_channels
    fan_out = op.kernel**2 * (1 if op.depthwise else op.out_channels)
    kernel = convolution(weights, f"{op.name}.conv", (op.out_channels, inputs, op.kernel, op.kernel), fan_out)
    factor, offset = batch_norm(weights, f"{op.name}.bn", op.out_channels, bn_epsilon)
    kernel = kernel * factor[:, None, None, None]
    return _convolve(graph, x, op.name, kernel, offset, op.stride, op.out_size, op.activation)


@write_op.register
def _(op: SqueezeExcite, graph: Graph, x: int, weights: Weights, bn_epsilon: float) -> int:
    gate = x
    if op.size > 1:  # the mean of a single pixel is left out, as litert-torch does
        shape = (1, 1, 1, op.channels)
        gate = _reduce(Code.MEAN, graph, x, f"{op.name}.mean", shape, keep_dims=True)
    parts: list[tuple[str, int, int, Activation | None]] = [
        ("reduce", op.channels, op.reduced, "relu"),
        ("expand", op.reduced, op.channels, None),
    ]
    for part, inputs, outputs, activation in parts:
        name = f"{op.name}.{part}"
        kernel = convolution(weights, name, (outputs, inputs, 1, 1), fan_out=outputs)
        bias = weights.take(f"{name}.bias", (outputs,))
        gate = _convolve(graph, gate, name, kernel, bias, 1, 1, activation)
    gate = graph.operator(Code.LOGISTIC, [gate], f"{op.name}.sigmoid", graph.shape(gate))
    return graph.operator(Code.MUL, [x, gate], f"{op.name}.multiply", graph.shape(x), schema.MulOptionsT())


@write_op.register
def _(op: GlobalMean, graph: Graph, x: int, weights: Weights, bn_epsilon: float) -> int:
    # litert-torch drops the division by one and leaves the sum.
    code = Code.MEAN if op.size > 1 else Code.SUM
    return _reduce(code, graph, x, op.name, (1, op.channels), keep_dims=False)


@write_op.register
def _(op: Dropout, graph: Graph, x: int, weights: Weights, bn_epsilon: float) -> int:
    return x


@write_op.register
def _(op: Dense, graph: Graph, x: int, weights: Weights, bn_epsilon: float) -> int:
    # The official uniform(-b, b), b = 1 / sqrt(classes), has this standard deviation.
    std = (3 * op.out_features) ** -0.5
    kernel = weights.take(f"{op.name}.weight", (op.out_features, op.in_features), std=std)
    bias = weights.take(f"{op.name}.bias", (op.out_features,))
    constants = [graph.constant(f"{op.name}.weight", kernel), graph.constant(f"{op.name}.bias", bias)]
    options = schema.FullyConnectedOptionsT(keepNumDims=True)
    return graph.operator(Code.FULLY_CONNECTED, [x, *constants], op.name, (1, op.out_features), options)


@write_op.register
def _(op: AveragePool, graph: Graph, x: int, weights: Weights, bn_epsilon: float) -> int:
    size = same_size(op.in_size, op.stride)
    options = schema.Pool2DOptionsT(
        padding=SAME, strideH=op.stride, strideW=op.stride, filterHeight=op.kernel, filterWidth=op.kernel
    )
    return graph.operator(Code.AVERAGE_POOL_2D, [x], op.name, (1, size, size, op.channels), options)


def _convolve(
    graph: Graph, x: int, name: str, kernel: Array, bias: Array, stride: int, size: int, activation: Activation | None
) -> int:
    """A convolution with a kernel in torch's layout, (out, in, k, k) or, depthwise, (channels, 1, k, k)."""
    options: Any
    out_channels, inputs, width, _ = kernel.shape
    if inputs == 1:  # depthwise; also from one channel to many, as litert-torch writes it
        code, options = Code.DEPTHWISE_CONV_2D, schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = out_channels // graph.shape(x)[3]
        kernel = kernel.transpose(1, 2, 3, 0)
    else:
        code, options = Code.CONV_2D, schema.Conv2DOptionsT()
        kernel = kernel.transpose(0, 2, 3, 1)
    options.padding = VALID if width == 1 else SAME
    options.strideH = options.strideW = stride
    options.fusedActivationFunction = FUSED[activation]
    constants = [graph.constant(f"{name}.weight", kernel), graph.constant(f"{name}.bias", bias)]
    return graph.operator(code, [x, *constants], name, (1, size, size, out_channels), options)


def _reduce(code: int, graph: Graph, x: int, name: str, shape: tuple[int, ...], keep_dims: bool) -> int:
    axes = graph.constant(f"{name}.axes", SPATIAL_AXES)
    return graph.operator(code, [x, axes], name, shape, schema.ReducerOptionsT(keepDims=keep_dims))
