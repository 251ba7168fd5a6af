"""Parameters and multiply-adds equal the published and cross-checked counts, to the digit."""

import pytest

from mnascli.errors import UsageError
from mnascli.space import Architecture, Cost, count, load, lower
from mnascli.space.ops import AveragePool, Conv, round_filters, same_size


@pytest.mark.parametrize(
    ("name", "width", "parameters", "multiply_adds"),
    [
        ("mnasnet-a1", 1.0, 3_887_038, 311_579_072),
        ("mnasnet-b1", 1.0, 4_383_312, 314_415_872),
        ("mnasnet-small", 1.0, 2_030_264, 68_339_184),
        ("mobilenet-v2", 1.0, 3_504_872, 300_774_272),
        ("mobilenet-v2", 1.4, 6_108_776, 582_195_824),
    ],
)
def test_reference_counts(name: str, width: float, parameters: int, multiply_adds: int) -> None:
    assert count(load(name, width=width)) == Cost(parameters, multiply_adds)


def test_d1() -> None:
    cost = count(load("mnasnet-d1"))
    assert cost.parameters == 3_638_404
    assert round(cost.multiply_adds / 1e6, 1) == 967.7


def test_unknown_name() -> None:
    with pytest.raises(UsageError, match="mnasnet-a1"):
        load("mnasnet-z9")


@pytest.mark.parametrize(
    ("filters", "width", "rounded"),
    [(32, 1.0, 32), (36, 1.0, 36), (32, 0.35, 16), (24, 0.75, 24), (16, 0.1, 8), (320, 1.4, 448)],
)
def test_round_filters(filters: int, width: float, rounded: int) -> None:
    assert round_filters(filters, width) == rounded


@pytest.mark.parametrize(("size", "stride", "out"), [(224, 2, 112), (7, 2, 4), (7, 1, 7), (1, 2, 1)])
def test_same_size(size: int, stride: int, out: int) -> None:
    assert same_size(size, stride) == out


def test_skips_stand_only_where_they_can() -> None:
    net = Architecture.parse("stem_c8,ds_r2_k3_s2_c8,ds_r2_k3_s2_c8_pool,ds_r2_k3_s1_c16_pool,cn_r2_k3_s1_c16,net_i33")
    skips = {layer.name: layer.skip for layer in lower(net)}
    assert skips["blocks.0.0"] is None  # identity, but strided
    assert skips["blocks.0.1"] == "identity"
    assert isinstance(skips["blocks.1.0"], AveragePool)  # a pool may be strided
    assert skips["blocks.1.0"].stride == 2
    assert skips["blocks.2.0"] is None  # 8 and 16 channels do not match
    assert isinstance(skips["blocks.2.1"], AveragePool)
    assert skips["blocks.3.1"] is None  # a plain convolution has none unless it says `skip`


def test_shapes_follow_from_one_layer_to_the_next() -> None:
    channels, size = 3, 97
    for layer in lower(load("mnasnet-a1", size=97)):
        for op in layer.ops:
            if isinstance(op, Conv):
                assert (op.in_channels, op.in_size) == (channels, size)
                channels, size = op.out_channels, op.out_size


def test_a_block_of_no_layers_is_left_out() -> None:
    names = [layer.name for layer in lower(Architecture.parse("ds_r0_k3_s1_c16,ds_r1_k3_s1_c16"))]
    assert names == ["stem", "blocks.1.0", "head", "classifier"]


def test_mobilenet_v1_has_its_published_counts() -> None:
    """Keras' MobileNet has 4,231,976 trainable parameters; 569M multiply-adds in the paper."""
    assert count(load("mobilenet-v1")) == Cost(4_231_976, 568_740_352)
