"""NASNet-A (mobile) has the counts that were published."""

import torch

from mnascli.nets.nasnet import NasnetA, build_nasnet_a, count_nasnet


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
