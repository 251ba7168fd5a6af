"""The supernet: a child computes what its stand-alone network computes, on weights that it shares with the others."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mnascli.errors import UsageError
from mnascli.nets import build
from mnascli.nets.supernet import Supernet
from mnascli.space import Architecture, Space, load_space, make_space

SMALL = {"input": {"size": 12, "channels": 1}, "classes": 3, "stem": {"filters": 6}, "head": {"filters": 16}}


def space_of(*blocks: dict[str, object], **choices: object) -> Space:
    return make_space({**SMALL, "blocks": list(blocks), "choices": choices}, "test")


SPACES = {
    "the paper's choices": space_of(
        {"filters": 8, "layers": 1}, {"filters": 8, "layers": 2, "stride": 2}, {"filters": 12, "layers": 1}
    ),
    "blocks that may be left out, and a wide stem": make_space(
        {**SMALL, "stem": {"filters": 20}, "blocks": [{"filters": 8, "layers": 1}, {"filters": 6, "layers": 1}]}, "test"
    ),
    "expansions 1, 3 and 6, kernels 1 to 7": space_of(
        {"filters": 8, "layers": 2}, operator=["mbconv3", "mbconv1", "sep", "mbconv6"], kernel=[3, 7, 1], se=[0.5, 0, 1]
    ),
    "choices of its own for each block": space_of(
        {"filters": 8, "layers": 1, "choices": {"operator": ["conv"], "layers": [0, 2]}},
        {"filters": 16, "layers": 1, "stride": 2, "choices": {"operator": ["mbconv2", "sep"], "layers": [0]}},
    ),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More would wait for each other longer than these small networks take."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def supernet_of(space: Space, seed: int = 0) -> Supernet:
    torch.manual_seed(seed)
    supernet = Supernet(space)
    with torch.no_grad():  # batch norm begins at 1 and 0, where a wrong slice would not show
        for parameter in supernet.parameters():
            if parameter.ndim == 1:
                parameter.copy_(torch.rand_like(parameter) + 0.5)
    return supernet.eval()


def with_batch_statistics(network: nn.Module) -> nn.Module:
    """In evaluation mode but for batch norm, which takes each batch's own statistics, as in the supernet."""
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    return network


def pictures(space: Space) -> Tensor:
    size = space.config.input
    return torch.randn(4, size.channels, size.size, size.size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", SPACES)
def test_a_child_computes_what_its_own_network_computes(name: str) -> None:
    space = SPACES[name]
    supernet, rng = supernet_of(space), random.Random(0)
    for _ in range(10):
        architecture = space.sample(rng)
        alone = build(architecture)
        weights = supernet.weights(architecture)
        assert weights.keys() == dict(alone.named_parameters()).keys()
        alone.load_state_dict(weights, strict=False)
        expected = with_batch_statistics(alone)(pictures(space))
        torch.testing.assert_close(supernet(pictures(space), architecture), expected, msg=str(architecture))


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_the_paper_and_the_quick_space(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["quick", "mnasnet"]))
    space = load_space(name).on(size=16, channels=1, classes=3)
    architecture = space.decode([data.draw(st.integers(0, len(one.choices) - 1)) for one in space.decisions])
    if name not in MADE:
        MADE[name] = supernet_of(space)
    network = with_batch_statistics(MADE[name].extract(architecture))
    torch.testing.assert_close(MADE[name](pictures(space), architecture), network(pictures(space)))


MADE: dict[str, Supernet] = {}  # made once: the paper's has 40 million weights


def test_widths_kernels_expansions_and_depths_share() -> None:
    space = space_of({"filters": 8, "layers": 2}, se=[0.25, 0])
    supernet = supernet_of(space)
    wide, narrow = (
        Architecture.parse(f"stem_c6,ir_r{r}_k{k}_s1_e{e}_c{c}_se0.25,head_c16,net_i12_ch1_o3")
        for r, k, e, c in ((3, 5, 6, 10), (1, 3, 3, 6))
    )
    large, small = supernet.weights(wide), supernet.weights(narrow)
    own = "blocks.0.0.depthwise.conv.weight"
    assert torch.equal(small[own], large[own][:18, :, 1:4, 1:4])
    assert torch.equal(small["blocks.0.0.project.conv.weight"], large["blocks.0.0.project.conv.weight"][:6, :18])
    assert torch.equal(small["blocks.0.0.se.reduce.weight"], large["blocks.0.0.se.reduce.weight"][:, :18])
    assert "blocks.0.1.expand.conv.weight" in large and "blocks.0.1.expand.conv.weight" not in small
    # Views of one memory: what one child learns, the others have.
    with torch.no_grad():
        large[own].zero_()
    assert not supernet.weights(narrow)[own].any()


def test_operators_that_cannot_share_stand_beside_each_other() -> None:
    supernet = supernet_of(space_of({"filters": 8, "layers": 1}))
    sep, mbconv = (
        supernet.weights(Architecture.parse(f"stem_c6,{block}_r1_k3_s1_c8_noskip,head_c16,net_i12_ch1_o3"))
        for block in ("ds", "ir_e3")
    )
    name = "blocks.0.0.depthwise.conv.weight"
    assert not torch.equal(sep[name], mbconv[name][: len(sep[name])])
    assert sorted(dict(supernet.get_submodule("blocks.0.0").named_children())) == ["conv", "mbconv", "sep"]


def test_gradients_reach_a_childs_share_alone() -> None:
    space = SPACES["the paper's choices"]
    supernet = supernet_of(space).train()
    child = space.sample(random.Random(3))
    supernet(pictures(space), child).square().sum().backward()
    reached = sum(int((p.grad != 0).sum()) for p in supernet.parameters() if p.grad is not None)
    share = sum(weight.numel() for weight in supernet.weights(child).values())
    assert 0.5 * share < reached <= share


def test_the_anchor_is_the_largest_of_what_is_shared_most() -> None:
    anchor = supernet_of(SPACES["the paper's choices"]).anchor()
    assert all(block.operator == "mbconv" and block.expansion == 6 and block.kernel == 5 for block in anchor.blocks)
    assert [(block.filters, block.repeats, block.skip) for block in anchor.blocks] == [
        (10, 2, "identity"),
        (10, 3, "identity"),
        (15, 2, "identity"),
    ]
    for space in SPACES.values():  # it is a child
        assert space.decode(space.encode(supernet_of(space).anchor())) == supernet_of(space).anchor()


def test_an_architecture_of_another_space_is_refused() -> None:
    supernet = supernet_of(space_of({"filters": 8, "layers": 1}))
    with pytest.raises(UsageError, match="not in this space"):
        supernet.weights(Architecture.parse("stem_c6,ds_r1_k9_s1_c8,head_c16,net_i12_ch1_o3"))
