"""Large depthwise kernels train through a gradient of their own: it is oneDNN's, and is taken where it is meant."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mnascli.nets.depthwise import convolve, is_slow
from mnascli.nets.modules import SameConv


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"), [(7, 5, 1, 2), (14, 5, 2, 1), (4, 7, 1, 3), (9, 5, 2, 0)]
)
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_gradients_are_those_of_the_plain_convolution(
    size: int, kernel: int, stride: int, padding: int, memory: torch.memory_format
) -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 8, size, size).contiguous(memory_format=memory).requires_grad_()
    weight = torch.randn(8, 1, kernel, kernel, requires_grad=True)
    assert is_slow(x, weight) == (memory is torch.contiguous_format)
    expected = F.conv2d(x, weight, None, stride, padding, 1, 8)
    found = convolve(x, weight, stride, padding)
    assert torch.equal(found, expected)
    upstream = torch.randn_like(expected)
    for one, other in zip(*(torch.autograd.grad(y, (x, weight), upstream) for y in (found, expected)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_it_is_taken_in_training_alone() -> None:
    conv, x = SameConv(8, 8, 5, 1, groups=8, bias=False), torch.randn(2, 8, 7, 7)
    assert type(conv(x).grad_fn).__name__ == "_ConvolutionBackward"
    assert type(conv.eval()(x).grad_fn).__name__ == "ConvolutionBackward0"
    small = SameConv(8, 8, 3, 1, groups=8, bias=False)
    assert type(small(x).grad_fn).__name__ == "ConvolutionBackward0"
