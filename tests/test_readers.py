"""One lowering, many readers: each kind of op, operator and activation must be known to all that read it."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from typing import Any, get_args

import pytest
import torch

from mnascli.nets.modules import ACTIVATIONS, make
from mnascli.nets.network import build
from mnascli.nets.supernet import Supernet
from mnascli.report.drawing import boxes
from mnascli.report.paper import KIND_COLOURS
from mnascli.search.latency_model import op_terms, terms
from mnascli.space import Architecture, Block, make_space
from mnascli.space.architecture import CODE_OF, DEFAULT_SKIP, TITLES, Activation, Operator
from mnascli.space.cost import op_cost
from mnascli.space.ops import Op
from mnascli.tflite.interpreter import predict
from mnascli.tflite.writer import FUSED, write, write_op
from mnascli.training.pretrained import KNOWN_BY, _own_names
from mnascli.tui.drawing import draw

READERS = {
    "space/cost.py": op_cost,
    "nets/modules.py": make,
    "tflite/writer.py": write_op,
    "search/latency_model.py": op_terms,
}
OPERATORS: tuple[Operator, ...] = get_args(Operator)
NET = Architecture.parse("stem_c8,ds_r1_k3_s1_c8,head_c16,net_i16_o4")


def network_of(operator: Operator) -> Architecture:
    """Two layers of an operator with all that it may have."""
    expansion = 3 if operator == "mbconv" else 1
    skip = DEFAULT_SKIP[operator]
    return replace(NET, blocks=(Block(operator, 5, 2, 12, 2, expansion, se_ratio=0.25, skip=skip),))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("op", get_args(Op), ids=lambda op: op.__name__)
def test_every_reader_has_a_maker_for_every_op(reader: str, op: type[Any]) -> None:
    maker: Any = READERS[reader]
    assert maker.dispatch(op) is not maker.dispatch(object), f"{reader} has no maker for {op.__name__}"


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_has_a_maker_for_an_op_that_is_gone(reader: str) -> None:
    maker: Any = READERS[reader]
    assert set(maker.registry) - {object} == set(get_args(Op))


def test_every_reader_knows_every_activation() -> None:
    known = {None, *get_args(Activation)}
    assert set(ACTIVATIONS) == set(FUSED) == known
    for activation in get_args(Activation):
        assert Architecture.parse(str(replace(NET, activation=activation))).activation == activation


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_is_written_and_read_as_a_string(operator: Operator) -> None:
    assert Architecture.parse(str(network_of(operator))) == network_of(operator)


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_is_drawn_by_its_name(operator: Operator) -> None:
    net = network_of(operator)
    name = TITLES[operator] + ("3" if operator == "mbconv" else "")
    assert f"{name} 5×5" in draw(str(net)).plain
    assert f"{name} 5x5" in [box.title for box in boxes(net)]
    assert operator in KIND_COLOURS  # of the figures for a paper
    templates = files("mnascli.report") / "templates"
    assert f'{CODE_OF[operator]}: ["{operator}", "{TITLES[operator]}"]' in (templates / "report.js").read_text()
    if operator != "conv":  # which has the colour of all stages
        assert f".stage.{operator}" in (templates / "report.css").read_text()


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_latency_model_has_terms_for_all_of_an_operator(operator: Operator) -> None:
    counted = terms(network_of(operator))
    kernel = "conv" if operator == "conv" else "depthwise"
    assert counted[f"{kernel} 5x5 stride 2 ops"] == 1 and counted[f"{kernel} 5x5 stride 1 ops"] == 1
    assert counted["squeeze-excite ops"] == 2 and counted["identity ops"] == (operator != "conv")


@pytest.mark.parametrize("operator", ["conv", "sep", "mbconv"])
def test_the_supernet_holds_an_operator(operator: Operator) -> None:
    """Of those that a space may choose."""
    name = "mbconv3" if operator == "mbconv" else operator
    values = {"input": {"size": 16, "channels": 3}, "classes": 4, "stem": {"filters": 8}, "head": {"filters": 16}}
    space = make_space({**values, "choices": {"operator": [name]}, "blocks": [{"filters": 8, "layers": 2}]}, "test")
    child = space.decode([0] * len(space.decisions))
    supernet = Supernet(space)
    assert supernet.weights(child).keys() <= build(child).state_dict().keys()
    assert supernet(torch.zeros(2, 3, 16, 16), child).shape == (2, 4)


@pytest.mark.parametrize("operator", OPERATORS)
def test_our_own_names_cover_all_weights_of_an_operator(operator: Operator) -> None:
    net = network_of(operator)
    named = tuple(f"{here}." for here, _ in _own_names(net))
    assert all(key.startswith(named) for key in build(net).state_dict())


@pytest.mark.parametrize("publisher", KNOWN_BY.values(), ids=lambda names: names.__name__)
@pytest.mark.parametrize("operator", ["sep", "mbconv"])
def test_the_names_of_others_cover_all_weights_of_the_operators_they_publish(
    publisher: Any, operator: Operator
) -> None:
    """Squeeze-excite is timm's alone."""
    squeeze = 0.25 if publisher.__name__ == "timm_names" else 0.0
    (block,) = network_of(operator).blocks
    net = replace(NET, blocks=(replace(block, se_ratio=squeeze),))
    named = tuple(f"{here}." for here, _ in publisher(net))
    assert all(key.startswith(named) for key in build(net).state_dict())


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("activation", get_args(Activation))
def test_torch_and_the_written_file_agree(operator: Operator, activation: Activation, tmp_path: Any) -> None:
    net = replace(network_of(operator), activation=activation)
    network = build(net, seed=0).eval()
    pixels = torch.rand(1, net.channels, net.size, net.size)
    file = write(net, tmp_path / "net.tflite", network.state_dict())
    with torch.inference_mode():
        expected = network(pixels)
    found = predict(file, pixels.permute(0, 2, 3, 1).numpy())
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-4)
