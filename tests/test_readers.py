"""One lowering, many readers: each kind of op must be known to all of them."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from mnascli.nets.modules import make
from mnascli.space.cost import op_cost
from mnascli.space.layers import Op
from mnascli.tflite.writer import write_op

READERS = {"space/cost.py": op_cost, "nets/modules.py": make, "tflite/writer.py": write_op}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("op", get_args(Op), ids=lambda op: op.__name__)
def test_every_reader_has_a_maker_for_every_op(reader: str, op: type[Any]) -> None:
    maker: Any = READERS[reader]
    assert maker.dispatch(op) is not maker.dispatch(object), f"{reader} has no maker for {op.__name__}"


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_has_a_maker_for_an_op_that_is_gone(reader: str) -> None:
    maker: Any = READERS[reader]
    assert set(maker.registry) - {object} == set(get_args(Op))
