"""Files that nobody here wrote: what they take, what they give, and what is said where that cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from foreign import CODES, TYPES, Change, Foreign

from mnascli.errors import UsageError
from mnascli.space.architecture import Architecture
from mnascli.tflite import write
from mnascli.tflite.interpreter import Runner, predict
from mnascli.tflite.meaning import as_they_are, fitting_normalisation, gives_probabilities
from mnascli.tflite.quantize import quantize
from mnascli.tflite.reading import read_file
from mnascli.tflite.shapes import leaves_size_open, with_fixed_shapes

TINY = Architecture.parse("stem_c8,ir_r1_k3_s1_e3_c8_se0.25,head_c16,net_i16_o3")
IMAGES = np.random.default_rng(0).uniform(0, 255, (5, 16, 16, 3)).astype(np.float32)
OWN = ((0.3, 0.4, 0.5), (0.2, 0.25, 0.3))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(TINY, tmp_path / "model.tflite")


@pytest.fixture
def foreign(model: Path, tmp_path: Path) -> Foreign:
    copy = tmp_path / "foreign.tflite"
    copy.write_bytes(model.read_bytes())
    return Foreign(copy)


NCHW = (TYPES.INT32, np.array([0, 2, 3, 1], np.int32))


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.leave_open(1, 2),
        lambda one: one.leave_open(0, 1, 2),
        lambda one: one.leave_open(0),
        lambda one: one.leave_open(2),
        lambda one: one.take_at_once(2),
        lambda one: one.begin_with(CODES.TRANSPOSE, TYPES.FLOAT32, (1, 3, 16, 16), beside=[NCHW]),
        lambda one: one.begin_with(CODES.TRANSPOSE, TYPES.FLOAT32, (1, 3, 16, 16), beside=[NCHW]).leave_open(2, 3),
        lambda one: one.reshaped(1, 1, 1, 3),
        lambda one: one.reshaped(3),
        lambda one: one.reshaped(1, 3, 1),
    ],
)
def test_other_shapes_give_the_same(model: Path, foreign: Foreign, change: Change) -> None:
    expected = predict(model, IMAGES)
    np.testing.assert_allclose(predict(change(foreign).write(), IMAGES), expected, rtol=1e-4, atol=1e-3)


def test_one_channel_may_have_no_axis(tmp_path: Path) -> None:
    grey = write(Architecture.parse("stem_c8,ir_r1_k3_s1_e3_c8,head_c16,net_i16_ch1_o3"), tmp_path / "grey.tflite")
    expected = predict(grey, IMAGES[..., :1])
    foreign = Foreign(grey)
    shape = schema.ReshapeOptionsT(newShape=[1, 16, 16, 1])
    foreign.begin_with(CODES.RESHAPE, TYPES.FLOAT32, (1, 16, 16), shape).write()
    np.testing.assert_allclose(predict(grey, IMAGES[..., :1]), expected, rtol=1e-5)


@pytest.mark.parametrize(("kind", "step"), [(TYPES.FLOAT16, 0.1), (TYPES.UINT8, 0), (TYPES.INT32, 0), (TYPES.INT64, 0)])
def test_other_types_of_input(model: Path, foreign: Foreign, kind: int, step: float) -> None:
    images = IMAGES.round()
    expected = predict(model, images)
    path = foreign.cast_from(kind).write()
    np.testing.assert_allclose(predict(path, images), expected, rtol=1e-4, atol=1e-3)
    assert Runner(path).takes_unscaled == (kind != TYPES.FLOAT16)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda one: one.leave_open(1, 2), "takes pictures of any size: choose one with --size"),
        (lambda one: one.leave_open(1, 2, 3), r"input of shape \(1, any, any, any\)"),
        (lambda one: one.reshaped(3, 1, 1).end_with(CODES.ARG_MAX, (), kind=TYPES.INT64), "LiteRT cannot run it"),
        (lambda one: one.cast_from(TYPES.BOOL), "takes bool: numbers were expected"),
        (
            lambda one: one.begin_with(CODES.RESHAPE, TYPES.FLOAT32, (1, 8, 32, 3), schema.ReshapeOptionsT()),
            "8x32 pixels: mnas makes squares only",
        ),
        (
            lambda one: one.begin_with(CODES.RESHAPE, TYPES.FLOAT32, (1, 8, 24, 4), schema.ReshapeOptionsT()),
            r"shape \(1, 8, 24, 4\): .* was expected",
        ),
        (
            lambda one: one.begin_with(CODES.RESHAPE, TYPES.FLOAT32, (1, 768), schema.ReshapeOptionsT()),
            r"shape \(1, 768\): .* was expected",
        ),
    ],
)
def test_what_cannot_be_run_on_pictures_is_told_in_a_line(foreign: Foreign, change: Change, says: str) -> None:
    path = change(foreign).write()
    with pytest.raises(UsageError, match=says) as caught:
        Runner(path)
    assert "\n" not in str(caught.value)


def test_several_outputs_and_inputs(foreign: Foreign) -> None:
    both = [*foreign.graph.outputs, int(foreign.graph.operators[-1].inputs[0])]
    foreign.graph.outputs = both
    with pytest.raises(UsageError, match=r"its output is \(1, 3\) and .*, not one row of classes"):
        Runner(foreign.write())
    again = Foreign(foreign.path)
    again.graph.inputs = [*again.graph.inputs, again.tensor((1,), TYPES.FLOAT32)]
    with pytest.raises(UsageError, match="it takes 2 inputs"):
        Runner(again.write())


def shapes_of(path: Path) -> list[list[int]]:
    return [list(tensor.shape) for tensor in read_file(path).subgraphs[0].tensors]


@pytest.mark.parametrize("places", [(1, 2), (0, 1, 2)])
def test_a_copy_of_a_fixed_size_is_what_was_meant(model: Path, foreign: Foreign, places: tuple[int, ...]) -> None:
    """Whatever runs it as it stands (a phone's benchmark_model) runs it at that size, in every tensor."""
    path = foreign.leave_open(*places).write()
    assert leaves_size_open(path) and shapes_of(path)[0] == [1, 1, 1, 3]
    with pytest.raises(UsageError, match="takes pictures of any size"):
        with_fixed_shapes(path, path.with_name("copy.tflite"))
    copy = with_fixed_shapes(path, path.with_name("copy.tflite"), 16)
    assert copy != path and not leaves_size_open(copy)
    assert shapes_of(copy) == shapes_of(model)
    details = Interpreter(model_path=str(copy)).get_input_details()[0]
    assert list(details["shape"]) == list(details["shape_signature"]) == [1, 16, 16, 3]
    np.testing.assert_allclose(predict(copy, IMAGES), predict(model, IMAGES), rtol=1e-5)
    wider = with_fixed_shapes(path, path.with_name("wider.tflite"), 40)
    assert shapes_of(wider)[0] == [1, 40, 40, 3]


def test_a_file_that_leaves_nothing_open_is_measured_as_it_is(model: Path, foreign: Foreign, tmp_path: Path) -> None:
    batch_open = foreign.leave_open(0).write()
    for path in (model, batch_open):
        assert with_fixed_shapes(path, tmp_path / "copy.tflite") == path
        assert with_fixed_shapes(path, tmp_path / "copy.tflite", 16) == path
        with pytest.raises(UsageError, match="takes pictures of 16x16 pixels, not of 32x32"):
            with_fixed_shapes(path, tmp_path / "copy.tflite", 32)
    assert not (tmp_path / "copy.tflite").exists()


def test_what_else_is_open_is_refused(foreign: Foreign, tmp_path: Path) -> None:
    foreign.begin_with(CODES.RESHAPE, TYPES.FLOAT32, (1, 768), schema.ReshapeOptionsT())
    foreign.image.shapeSignature = np.array([1, -1], np.int32)
    path = foreign.write()
    with pytest.raises(UsageError, match=r"leaves the shape of an input open, \(1, any\)"):
        with_fixed_shapes(path, tmp_path / "copy.tflite")
    with pytest.raises(UsageError, match="takes no pictures: leave out --size"):
        with_fixed_shapes(path, tmp_path / "copy.tflite", 32)


# --- what is given


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda one: one, False),
        (lambda one: one.softmax(), True),
        (lambda one: one.softmax().reshaped(1, 1, 1, 3), True),
        (lambda one: one.end_with(CODES.LOGISTIC, (1, 3)), True),
        (lambda one: one.end_with(CODES.LOG_SOFTMAX, (1, 3), schema.LogSoftmaxOptionsT()), False),
        (lambda one: one.softmax().end_with(CODES.NEG, (1, 3), schema.NegOptionsT()), False),
    ],
)
@pytest.mark.parametrize("int8", [False, True])
def test_probabilities_are_told_from_logits(foreign: Foreign, change: Change, expected: bool, int8: bool) -> None:
    path = change(foreign).write()
    if int8:
        quantize_in_place(Foreign(path))
    outputs = predict(path, IMAGES / 255)
    assert gives_probabilities(path, outputs) == expected


def quantize_in_place(foreign: Foreign) -> None:
    """By made-up ranges: its answers are worth nothing, its operators are those of an int8 file."""
    names = [schema.TensorMapT(name="x", tensorIndex=int(foreign.graph.inputs[0]))]
    gives = [schema.TensorMapT(name="y", tensorIndex=int(foreign.graph.outputs[0]))]
    foreign.signatures = [schema.SignatureDefT(names, gives, "serving_default", 0)]
    quantize(foreign.write(), foreign.path, kind="int8")


def test_shares_of_one_are_probabilities_whatever_made_them(model: Path) -> None:
    """A softmax may stand in the file as exponents, a sum and a division."""
    shares = np.array([[0.2, 0.3, 0.5], [1, 0, 0]], np.float32)
    assert gives_probabilities(model, shares)
    for logits in (shares * 3, shares - [[0, 0, 1]], np.array([[0.2, 0.3, 0.5], [1, 2, 0]], np.float32)):
        assert not gives_probabilities(model, logits.astype(np.float32))


# --- what is taken


def quantized_input(foreign: Foreign, low: float, high: float, kind: int) -> Path:
    """Integers that stand for floats from `low` to `high`, turned into floats."""
    scale = (high - low) / 255
    zero = round(-low / scale) - (128 if kind == TYPES.INT8 else 0)
    return foreign.begin_with(CODES.DEQUANTIZE, kind, (1, 16, 16, 3), scale=(scale, zero)).write()


OWN_RANGE = (-5 / 3, 3.0)  # black and white under OWN


@pytest.mark.parametrize("kind", [TYPES.INT8, TYPES.UINT8])
@pytest.mark.parametrize(
    ("low", "high", "mean", "std"),
    [
        (0, 1, 0, 1),
        (0, 0.94, 0, 1),
        (-1, 1, 0.5, 0.5),
        (-1, 0.992, 0.5, 0.5),
        (0, 255, 0, 1 / 255),
        (*OWN_RANGE, *OWN),
        (-40, 10, 0.8, 0.02),
    ],
)
def test_mean_and_deviation_fit_the_scale(
    foreign: Foreign, kind: int, low: float, high: float, mean: object, std: object
) -> None:
    found = fitting_normalisation(quantized_input(foreign, low, high, kind), [OWN])
    assert found is not None and "input ranges" in found.why
    expected = (mean, std) if isinstance(mean, tuple) else ((mean,), (std,))
    np.testing.assert_allclose([found.mean, found.std], expected, atol=0.02)


@pytest.mark.parametrize("low", [0, -1])
def test_floats_that_are_quantized_first_have_a_scale_too(foreign: Foreign, low: float) -> None:
    """What TensorFlow's converter makes by default: int8 inside, floats outside."""
    quantized_input(foreign, low, 1, TYPES.INT8)
    inside = foreign.image.quantization
    again = Foreign(foreign.path)
    shape = again.image.shape
    again.begin_with(CODES.QUANTIZE, TYPES.FLOAT32, shape, schema.QuantizeOptionsT())
    found = fitting_normalisation(again.write(), [])
    assert inside.scale and found is not None
    assert (found.mean, found.std) == (((0.0,), (1.0,)) if low == 0 else ((0.5,), (0.5,)))


@pytest.mark.parametrize(
    ("change", "mean", "std"),
    [
        (lambda one: one.scaled_by(CODES.MUL, 1 / 255), 0, 1 / 255),
        (lambda one: one.scaled_by(CODES.MUL, 1 / 127.5), 0, 1 / 255),
        (lambda one: one.scaled_by(CODES.DIV, 255), 0, 1 / 255),
        (lambda one: one.scaled_by(CODES.SUB, 127.5), 0, 1 / 255),
        (lambda one: one.scaled_by(CODES.SUB, 0.485), 0, 1),
        (lambda one: one.scaled_by(CODES.MUL, 2), 0, 1),
        (lambda one: one.cast_from(TYPES.UINT8), 0, 1 / 255),
        (lambda one: one.cast_from(TYPES.INT32), 0, 1 / 255),
    ],
)
def test_a_network_that_scales_its_pixels_itself(foreign: Foreign, change: Change, mean: float, std: float) -> None:
    found = fitting_normalisation(change(foreign).write(), [OWN])
    assert found is not None and (found.mean, found.std) == ((mean,), (std,))


def test_a_network_that_says_nothing(model: Path) -> None:
    assert fitting_normalisation(model, [OWN]) is None
    assert as_they_are("").is_none
