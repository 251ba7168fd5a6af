"""NASNet-A (mobile), which the MnasNet paper compares itself with: Zoph et al., 1707.07012, appendix A.

The "4 @ 1056" network of the published code (tensorflow/models, research/slim/nets/nasnet; Keras' NASNetMobile): each
cell's output feeds the two cells after it. That is not a sequence of layers, so it is a torch network of its own and
not an architecture of the space. Only its time and its counts are of interest here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnascli.nets.modules import SameAveragePool, SameConv

BN_EPSILON, BN_MOMENTUM = 1e-3, 0.0003
CELLS = 4  # normal cells between two reductions
STEM_FILTERS = 32
FILTERS = 44  # of the first normal cells; 6 * 4 * 44 = 1056 come out of the last


@dataclass(frozen=True)
class NasnetA:
    """What the network is built for; its text is its name."""

    size: int = 224
    channels: int = 3
    classes: int = 1000

    def __str__(self) -> str:
        return "nasnet-a"


def build_nasnet_a(shape: NasnetA = NasnetA()) -> nn.Module:
    """The network with random weights from torch's global state: (N, channels, size, size) -> logits (N, classes)."""
    return _Network(shape)


class _Network(nn.Module):
    def __init__(self, shape: NasnetA) -> None:
        super().__init__()
        self.stem = nn.Conv2d(shape.channels, STEM_FILTERS, 3, 2, bias=False)
        self.stem_bn = _batch_norm(STEM_FILTERS)
        # The filters of each cell, and whether it reduces; the first two are the stem's.
        plan = [(FILTERS // 4, True), (FILTERS // 2, True)]
        for stage in range(3):
            plan += [(FILTERS * 2**stage, True)] if stage else []
            plan += [(FILTERS * 2**stage, False)] * CELLS
        self.cells = nn.ModuleList()
        before, now = 0, STEM_FILTERS  # channels of the second to last output (0: none yet), and of the last
        shrunk = False  # whether the last output is half as wide as the one before
        for filters, reduces in plan:
            cell = _Reduction(before, now, filters, shrunk) if reduces else _Normal(before, now, filters, shrunk)
            self.cells.append(cell)
            # The cell after a reduction gets what went into it, at twice the size.
            before, now, shrunk = now, cell.out_channels, reduces
        self.classifier = nn.Linear(now, shape.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_bn(self.stem(x))
        before = x
        for cell in self.cells:
            before, x = x, cell(before, x)
        x = F.relu(x).mean((2, 3), keepdim=True).flatten(1)
        return self.classifier(x)  # type: ignore[no-any-return]


class _Cell(nn.Module):
    """Both inputs brought to one size and number of channels; the first cell takes its one input twice, unchanged."""

    out_channels: int

    def __init__(self, before: int, now: int, filters: int, shrunk: bool) -> None:
        super().__init__()
        self.squeeze = _Projection(now, filters)
        self.adjusted = filters if before else now
        self.adjust: nn.Module = nn.Identity()
        if shrunk:
            self.adjust = _FactorizedReduction(before, filters)
        elif before not in (0, filters):
            self.adjust = _Projection(before, filters)


class _Normal(_Cell):
    def __init__(self, before: int, now: int, filters: int, shrunk: bool) -> None:
        super().__init__(before, now, filters, shrunk)
        self.out_channels = 6 * filters
        self.left_1, self.right_1 = _Separable(filters, filters, 5), _Separable(filters, filters, 3)
        self.left_2, self.right_2 = _Separable(filters, filters, 5), _Separable(filters, filters, 3)
        self.left_5 = _Separable(filters, filters, 3)
        self.pool = SameAveragePool(1)

    def forward(self, before: Tensor, now: Tensor) -> Tensor:
        p, h = self.adjust(before), self.squeeze(now)
        pooled = self.pool(p)
        return torch.cat(
            [
                p,
                self.left_1(h) + self.right_1(p),
                self.left_2(p) + self.right_2(p),
                self.pool(h) + p,
                pooled + pooled,
                self.left_5(h) + h,
            ],
            1,
        )


class _Reduction(_Cell):
    def __init__(self, before: int, now: int, filters: int, shrunk: bool) -> None:
        super().__init__(before, now, filters, shrunk)
        self.out_channels = 4 * filters
        self.left_1, self.right_1 = _Separable(filters, filters, 5, 2), _Separable(self.adjusted, filters, 7, 2)
        self.right_2, self.right_3 = _Separable(self.adjusted, filters, 7, 2), _Separable(self.adjusted, filters, 5, 2)
        self.left_5 = _Separable(filters, filters, 3)
        self.halve, self.pool = SameAveragePool(2), SameAveragePool(1)

    def forward(self, before: Tensor, now: Tensor) -> Tensor:
        p, h = self.adjust(before), self.squeeze(now)
        largest = _same_max_pool(h)
        one = self.left_1(h) + self.right_1(p)
        two = largest + self.right_2(p)
        three = self.halve(h) + self.right_3(p)
        return torch.cat([two, three, two + self.pool(one), self.left_5(one) + largest], 1)


class _Projection(nn.Sequential):
    """ReLU, 1x1 convolution, batch norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False), _batch_norm(outputs))


class _FactorizedReduction(nn.Module):
    """Half the channels from the even pixels, half from the odd ones."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - outputs // 2, 1, bias=False)
        self.bn = _batch_norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        # Channels last, as the exported file has them: litert-torch then needs no TRANSPOSE around the cut.
        last = x.permute(0, 2, 3, 1)
        if x.shape[2] % 2:  # an even size has an odd pixel for each even one already
            last = F.pad(last, (0, 0, 0, 1, 0, 1))
        odd = last[:, 1:, 1:].permute(0, 3, 1, 2)
        # A pool of one pixel is only a stride.
        parts = [self.even(F.avg_pool2d(x, 1, 2)), self.odd(F.avg_pool2d(odd, 1, 2))]
        return self.bn(torch.cat(parts, 1))  # type: ignore[no-any-return]


class _Separable(nn.Sequential):
    """Twice: ReLU, depthwise, pointwise, batch norm. The first depthwise may be strided."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(*_separable(inputs, outputs, kernel, stride), *_separable(outputs, outputs, kernel, 1))


def _separable(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
    return [
        nn.ReLU(),
        SameConv(inputs, inputs, kernel, stride, groups=inputs, bias=False),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        _batch_norm(outputs),
    ]


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BN_EPSILON, momentum=BN_MOMENTUM)


def _same_max_pool(x: Tensor) -> Tensor:
    """3x3, stride 2, TensorFlow's SAME: see `SameAveragePool`."""
    return F.max_pool2d(x, 3, 2, padding=x.shape[-1] % 2, ceil_mode=True)


def count_nasnet(network: nn.Module, shape: NasnetA) -> tuple[int, int]:
    """Trainable parameters, and multiply-adds of convolutions and classifier for one picture."""
    multiply_adds = 0

    def add(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal multiply_adds
        assert isinstance(module.weight, Tensor)
        multiply_adds += module.weight.numel() * output.shape[2:].numel()

    hooks = [one.register_forward_hook(add) for one in network.modules() if isinstance(one, (nn.Conv2d, nn.Linear))]
    with torch.inference_mode():
        network.eval()(torch.zeros(1, shape.channels, shape.size, shape.size))
    for hook in hooks:
        hook.remove()
    return sum(one.numel() for one in network.parameters()), multiply_adds
