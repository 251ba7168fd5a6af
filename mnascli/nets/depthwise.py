"""The gradient of a large depthwise kernel on small feature maps, on the CPU.

With channels outermost, oneDNN has no fast weight gradient for 5x5 depthwise kernels there: it was most of a training
step of a small network. (With channels innermost its own is up to twice as fast as this.)
Over a batch, the products of every input pixel with every output pixel are one matrix product per channel; each kernel
weight's gradient is the sum of the pairs that it connects, which is another one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST_KERNEL = 5  # oneDNN's gradient of 3x3 is fast
LARGEST_SIZE = 16  # the pairs of pixels grow with the fourth power of the size


def is_slow(x: Tensor, weight: Tensor) -> bool:
    """Whether a depthwise convolution of (N, C, size, size) with (C, 1, k, k) trains faster through `convolve`."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and weight.shape[-1] >= SMALLEST_KERNEL
        and x.shape[2] == x.shape[3] <= LARGEST_SIZE
        and x.is_contiguous()  # channels outermost
        and weight.requires_grad
        and torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def convolve(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """(N, C, size, size) and (C, 1, k, k) -> (N, C, size', size'): F.conv2d with a faster gradient."""
    return _Convolution.apply(x, weight, stride, padding)  # type: ignore[no-any-return, no-untyped-call]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        x, weight = ctx.saved_tensors
        stride, padding = ctx.stride, ctx.padding
        into_x = None
        if ctx.needs_input_grad[0]:
            into_x = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], len(weight),
                [True, False, False],
            )[0]  # fmt: skip
        kernel, size, out_size = weight.shape[-1], x.shape[-1], gradient.shape[-1]
        pairs = torch.bmm(x.flatten(2).permute(1, 2, 0), gradient.flatten(2).transpose(0, 1))
        connected = _connected(size, out_size, kernel, stride, padding)
        return into_x, (pairs.flatten(1) @ connected).view_as(weight), None, None


@lru_cache(maxsize=64)
def _connected(size: int, out_size: int, kernel: int, stride: int, padding: int) -> Tensor:
    """(size^2 x size'^2, k^2): 1 where a kernel weight leads from the input pixel to the output pixel."""
    tap = torch.arange(size)[:, None] - torch.arange(out_size) * stride + padding
    one_axis = tap[:, :, None] == torch.arange(kernel)  # (size, size', k)
    both = one_axis[:, None, :, None, :, None] & one_axis[None, :, None, :, None, :]
    return both.reshape(size**2 * out_size**2, kernel**2).float()
