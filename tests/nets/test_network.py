"""Torch networks: names, shapes, padding, initialisation, skips, determinism."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mnascli.nets import build
from mnascli.nets.modules import SameAveragePool, SameConv
from mnascli.space import zoo
from mnascli.space.architecture import Architecture
from mnascli.space.cost import count

SMALL = "stem_c8,ds_r1_k3_s1_c8_noskip,ir_r2_k5_s2_e3_c16_se0.25,head_c32,net_i32_o5"


def same_reference(x: torch.Tensor, weight: torch.Tensor, stride: int, groups: int) -> torch.Tensor:
    """SAME as TensorFlow defines it, written out: pad explicitly, the odd rest after the picture."""
    size, kernel = x.shape[-1], weight.shape[-1]
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    before = total // 2
    return F.conv2d(F.pad(x, (before, total - before) * 2), weight, stride=stride, groups=groups)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 15, 16])
def test_same_convolution(kernel: int, stride: int, size: int) -> None:
    conv = SameConv(2, 2, kernel, stride, groups=2, bias=False)
    x = torch.randn(1, 2, size, size, generator=torch.Generator().manual_seed(0))
    y = conv(x)
    assert y.shape[-1] == math.ceil(size / stride)
    torch.testing.assert_close(y, same_reference(x, conv.weight, stride, 2))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 15])
def test_average_pool_counts_only_the_picture(stride: int, size: int) -> None:
    x = torch.randn(1, 2, size, size, generator=torch.Generator().manual_seed(0))
    ones = torch.ones(2, 1, 3, 3)
    sums, areas = (same_reference(part, ones, stride, 2) for part in (x, torch.ones_like(x)))
    torch.testing.assert_close(SameAveragePool(stride)(x), sums / areas)


def test_state_dict_follows_the_names_of_the_lowering() -> None:
    names = set(build(Architecture.parse(SMALL)).state_dict())
    assert {
        "stem.conv.conv.weight",
        "stem.conv.bn.running_var",
        "blocks.0.0.depthwise.conv.weight",
        "blocks.1.1.expand.bn.bias",
        "blocks.1.1.se.reduce.bias",
        "blocks.1.1.se.expand.weight",
        "blocks.1.1.project.bn.running_mean",
        "head.conv.conv.weight",
        "classifier.dense.weight",
        "classifier.dense.bias",
    } <= names


@pytest.mark.parametrize("name", sorted(zoo.ZOO))
def test_parameters_are_those_that_were_counted(name: str) -> None:
    architecture = zoo.load(name, width=0.5, size=32, classes=7)
    network = build(architecture)
    assert sum(parameter.numel() for parameter in network.parameters()) == count(architecture).parameters
    assert network.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_a_block_of_no_layers_is_left_out() -> None:
    network = build(Architecture.parse("stem_c8,ir_r0_k3_s1_e3_c16,ds_r1_k3_s1_c8,head_c16,net_i8_ch1_o3"))
    assert network(torch.randn(2, 1, 8, 8)).shape == (2, 3)
    assert "blocks.1.0.depthwise.conv.weight" in network.state_dict()


def test_initialisation_is_the_official_codes() -> None:
    architecture = Architecture.parse("stem_c64,ir_r2_k5_s1_e6_c64_se0.5,head_c1280,net_i16_o100")
    state = build(architecture, seed=3, classifier_init="classes").state_dict()
    for name, fan_out in {
        "stem.conv.conv.weight": 9 * 64,
        "blocks.0.0.expand.conv.weight": 384,
        "blocks.0.0.depthwise.conv.weight": 25,
        "blocks.0.0.se.reduce.weight": 32,
        "blocks.0.0.se.expand.weight": 384,
        "head.conv.conv.weight": 1280,
    }.items():
        assert state[name].std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.08), name
        assert abs(state[name].mean().item()) < 0.1 * math.sqrt(2 / fan_out), name
    dense = state["classifier.dense.weight"]
    assert dense.abs().max().item() == pytest.approx(0.1, rel=0.01)
    assert dense.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.02)
    for name in (
        "classifier.dense.bias",
        "blocks.0.0.se.reduce.bias",
        "blocks.0.0.se.expand.bias",
        "stem.conv.bn.bias",
    ):
        assert not state[name].any(), name
    assert (state["stem.conv.bn.weight"] == 1).all()


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
@pytest.mark.parametrize("name", sorted(zoo.ZOO))
def test_the_first_logits_are_a_guess_for_any_number_of_classes(name: str, classes: int) -> None:
    x = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(16) % classes
    torch.manual_seed(0)  # of dropout
    architecture = zoo.load(name, size=32, classes=classes)
    with torch.no_grad():
        logits, official = (build(architecture, 0, init)(x) for init in ("inputs", "classes"))
    assert logits.std() < 0.6
    assert F.cross_entropy(logits, labels) < 1.5 * math.log(classes)
    if classes < 10:
        assert official.std() > 5  # that of the official code has 1,000 classes in mind


def test_the_official_classifier_changes_nothing_else() -> None:
    ours, official = (build(Architecture.parse(SMALL), 0, init).state_dict() for init in ("inputs", "classes"))
    assert [name for name in ours if not torch.equal(ours[name], official[name])] == ["classifier.dense.weight"]


def test_batch_norm_epsilon_and_momentum() -> None:
    norms = [m for m in build(zoo.load("mobilenet-v2", size=32)).modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-5, 0.01)}
    norm = build(Architecture.parse(SMALL)).get_submodule("stem.conv.bn")
    assert isinstance(norm, torch.nn.BatchNorm2d) and norm.eps == 1e-3


def test_a_seed_decides_the_weights_and_leaves_the_global_state() -> None:
    architecture = Architecture.parse(SMALL)
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    first, second, other = build(architecture, seed=1), build(architecture, seed=1), build(architecture, seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    name = "blocks.1.0.expand.conv.weight"
    assert torch.equal(first.state_dict()[name], second.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])
    unseeded = build(architecture)
    assert not torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(11)
    assert torch.equal(unseeded.state_dict()[name], build(architecture).state_dict()[name])


@pytest.mark.parametrize("skip", ["noskip", "skip", "pool"])
def test_skips_add_what_they_say(skip: str) -> None:
    network = build(Architecture.parse(f"stem_s1_c8,ir_r1_k3_s1_e3_c8_{skip},head_c8,net_i8_o3"), seed=0).eval()
    layer = network.get_submodule("blocks.0.0")
    # With the last batch norm at zero, only the skip is left of the layer.
    torch.nn.init.zeros_(layer.get_submodule("project.bn").weight)  # type: ignore[arg-type]
    x = torch.randn(1, 8, 8, 8)
    expected = {"noskip": torch.zeros_like(x), "skip": x, "pool": SameAveragePool(1)(x)}[skip]
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize(("activation", "top"), [("", math.inf), ("_relu6", 6.0)])
def test_activation(activation: str, top: float) -> None:
    stem = build(Architecture.parse(f"stem_c8,ds_r1_k3_s1_c8,head_c8,net_i16{activation}"), seed=0).eval()
    y = stem.get_submodule("stem")(1000 * torch.randn(1, 3, 16, 16)).detach().numpy()
    assert y.min() == 0
    assert y.max() == 6.0 if math.isfinite(top) else y.max() > 6.0


def test_gradients_reach_every_parameter() -> None:
    network = build(
        Architecture.parse("stem_c8,cn_r2_k3_s2_c8_se0.5_pool,ds_r2_k5_s2_c8_pool,head_c16,net_i16_ch1_o3"), 0
    )
    loss = network(torch.from_numpy(np.random.default_rng(0).normal(size=(4, 1, 16, 16)).astype("f"))).square().sum()
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
