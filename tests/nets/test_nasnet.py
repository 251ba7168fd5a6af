"""NASNet-A (mobile) has the counts that were published, and its cells convert."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mnascli.nets.nasnet import NasnetA, _Normal, _Reduction, build_nasnet_a, count_nasnet
from mnascli.tflite.convert import convert
from mnascli.tflite.interpreter import predict


def test_published_counts() -> None:
    """Keras' NASNetMobile has 5,289,978 trainable parameters; the paper says 5.3M and 564M."""
    shape = NasnetA()
    parameters, multiply_adds = count_nasnet(build_nasnet_a(shape), shape)
    assert parameters == 5_289_978
    assert round(multiply_adds / 1e6) == 564


def test_shapes_at_another_size() -> None:
    network = build_nasnet_a(NasnetA(size=96, classes=7)).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 96, 96)).shape == (2, 7)


class TwoCells(nn.Module):
    """A cell that halves and one that takes what went into it as well, at twice the size."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = _Reduction(0, 3, 4, False), _Normal(3, 16, 4, True)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(x, self.first(x, x)).mean((2, 3), keepdim=True).flatten(1)  # type: ignore[no-any-return]


def test_cells_convert(tmp_path: Path) -> None:
    """At an odd size, where what is cut is padded as well."""
    network, size = TwoCells().eval(), 13
    file = convert(network, NasnetA(size=size), tmp_path / "cells.tflite")
    images = np.random.default_rng(0).standard_normal((2, size, size, 3), np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(predict(file, images), expected, atol=1e-5)
