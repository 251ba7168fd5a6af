"""One small factory of a torch module for each op of the lowering.

Feature maps are (N, channels, size, size). Padding is TensorFlow's SAME, written so that litert-torch turns it
into the padding of the convolution or pool itself and leaves no PAD in the exported graph.

Initialisation is that of the official code (tensorflow/tpu, models/official/mnasnet/mnasnet_model.py):
`conv_kernel_initializer` for every convolution, squeeze-excite among them; biases zero, batch norm scale one. The
classifier's weights alone are uniform within 1 / sqrt(inputs): the official `dense_kernel_initializer` has
1 / sqrt(classes), made for 1,000 classes. With 1,280 inputs and 3 classes the first logits then have a standard
deviation of 9, and training begins with a loss of 7 where guessing has 1.1. `init_classifier` can draw both.
"""

from __future__ import annotations

import math
from functools import singledispatch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnascli.nets import depthwise
from mnascli.space.heads import ClassifierInit
from mnascli.space.ops import AveragePool, Conv, Dense, Dropout, GlobalMean, Op, SqueezeExcite

# TensorFlow's momentum of 0.99 is the share that is kept, torch's the share that is replaced.
BN_MOMENTUM = 0.01
ACTIVATIONS: dict[str | None, type[nn.Module]] = {None: nn.Identity, "relu": nn.ReLU, "relu6": nn.ReLU6}


@singledispatch
def make(op: Op, bn_epsilon: float) -> nn.Module:
    """The module of one op of the lowering, initialised from torch's global random state."""
    raise TypeError(f"no torch module for {type(op).__name__}")


class SameConv(nn.Conv2d):
    """A square convolution with TensorFlow's SAME padding, for any input size."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = (self._padding(size) for size in x.shape[2:])
        padding = (height // 2, width // 2)
        if height % 2 or width % 2:
            # An odd remainder goes after the picture, as in TensorFlow.
            x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
            padding = (0, 0)
        if self.training and 1 < self.groups == self.in_channels and depthwise.is_slow(x, self.weight):
            return depthwise.convolve(x, self.weight, self.stride[0], padding[0])
        return F.conv2d(x, self.weight, None, self.stride, padding, 1, self.groups)

    def _padding(self, size: int) -> int:
        kernel, stride = self.kernel_size[0], self.stride[0]
        return max((-(-size // stride) - 1) * stride + kernel - size, 0)


class ConvBatchNorm(nn.Module):
    """Convolution without bias, batch norm, activation."""

    def __init__(self, op: Conv, bn_epsilon: float) -> None:
        super().__init__()
        groups = op.in_channels if op.depthwise else 1
        self.conv = SameConv(op.in_channels, op.out_channels, op.kernel, op.stride, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(op.out_channels, eps=bn_epsilon, momentum=BN_MOMENTUM)
        self.activation = ACTIVATIONS[op.activation]()
        # The official initialiser reads the last axis of the kernel as the filters. A depthwise kernel in TensorFlow is
        # (k, k, channels, 1), so its fan-out is k * k and not k * k * channels.
        _init_kernel(self.conv.weight, op.kernel**2 * (1 if op.depthwise else op.out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.bn(self.conv(x)))  # type: ignore[no-any-return]


class SqueezeExciteModule(nn.Module):
    """Each channel times a gate from 0 to 1 computed from all channels' means."""

    def __init__(self, op: SqueezeExcite) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(op.channels, op.reduced, 1)
        self.expand = nn.Conv2d(op.reduced, op.channels, 1)
        for conv in (self.reduce, self.expand):
            _init_kernel(conv.weight, conv.out_channels)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        gate = self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(gate)


class GlobalMeanModule(nn.Module):
    """(N, channels, size, size) -> (N, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        # Four dimensions up to the mean: litert-torch then takes it channel-last, without a TRANSPOSE.
        return x.mean((2, 3), keepdim=True).flatten(1)


class SameAveragePool(nn.Module):
    """3x3 average pool with SAME padding, which is not counted in the average."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-1]
        if self.stride == 1 or size == 1:
            return F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False)
        # The factor 1.0 gives the pool a tensor of its own. If it shared one with a padded convolution, litert-torch
        # 0.10 would leave a PAD and TRANSPOSEs in the graph; like this it leaves none, nor the multiplication.
        x = x * 1.0
        if size == 2:
            return F.avg_pool2d(x, 2)
        # SAME pads one row and column on both sides of an odd size; on an even one only after the picture, and that is
        # what ceil_mode reaches into. (On odd sizes it changes nothing but the pattern that the converter sees.)
        return F.avg_pool2d(x, 3, 2, padding=size % 2, ceil_mode=True, count_include_pad=False)


@make.register
def _(op: Conv, bn_epsilon: float) -> nn.Module:
    return ConvBatchNorm(op, bn_epsilon)


@make.register
def _(op: SqueezeExcite, bn_epsilon: float) -> nn.Module:
    return SqueezeExciteModule(op)


@make.register
def _(op: GlobalMean, bn_epsilon: float) -> nn.Module:
    return GlobalMeanModule()


@make.register
def _(op: Dropout, bn_epsilon: float) -> nn.Module:
    return nn.Dropout(op.rate)


@make.register
def _(op: Dense, bn_epsilon: float) -> nn.Module:
    dense = nn.Linear(op.in_features, op.out_features)
    init_classifier(dense, "inputs")
    return dense


@make.register
def _(op: AveragePool, bn_epsilon: float) -> nn.Module:
    return SameAveragePool(op.stride)


def init_classifier(dense: nn.Linear, init: ClassifierInit) -> None:
    """Draw the weights from torch's global random state; the bias becomes zero."""
    bound = 1 / math.sqrt(dense.in_features if init == "inputs" else dense.out_features)
    nn.init.uniform_(dense.weight, -bound, bound)
    nn.init.zeros_(dense.bias)


def _init_kernel(weight: Tensor, fan_out: int) -> None:
    nn.init.normal_(weight, 0.0, math.sqrt(2 / fan_out))
