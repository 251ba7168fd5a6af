"""What is fed to a model: fixed numbers of any shape and type."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnascli.devices.worker.worker import some_input

TYPES = ["float16", "float32", "float64", "complex64", "int8", "uint8", "int16", "int32", "int64", "uint32", "bool"]


@given(st.sampled_from(TYPES), st.lists(st.integers(1, 5), max_size=5))
def test_inputs_have_the_shape_and_type_and_are_the_same_each_time(dtype: str, shape: list[int]) -> None:
    value = some_input(numpy.array(shape, numpy.int32), numpy.dtype(dtype).type)
    assert value.shape == tuple(shape) and value.dtype == dtype
    assert numpy.array_equal(value, some_input(numpy.array(shape, numpy.int32), numpy.dtype(dtype).type))
    assert numpy.isfinite(value).all()


def test_quantized_pictures_use_the_whole_range_and_indices_stay_valid() -> None:
    assert set(numpy.unique(some_input((64, 64), numpy.int8))) == set(range(-128, 128))
    assert not some_input((100,), numpy.int32).any()


def test_text_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be filled"):
        some_input((1,), numpy.bytes_)
