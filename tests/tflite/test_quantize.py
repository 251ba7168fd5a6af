"""The int8 twin: all in integers, as fast whatever the ranges, and as good as its calibration."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from mnascli import tflite
from mnascli.errors import MnasError, UsageError
from mnascli.nets import build
from mnascli.space import Architecture, load
from mnascli.tflite.interpreter import predict
from mnascli.tflite.quantize import quantize
from mnascli.tflite.reading import operators


@pytest.fixture
def small() -> Architecture:
    return load("mnasnet-small", size=32, classes=10)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(8, 32, 32, 3)).astype(np.float32)


def answers(path: Path, images: np.ndarray) -> np.ndarray:
    """Logits of an int8 file, brought back to floats."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    (image,), (logits,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert image["dtype"] == logits["dtype"] == np.int8
    scale, zero = image["quantization"]
    rows = []
    for picture in images:
        interpreter.set_tensor(
            image["index"], np.clip(np.round(picture / scale) + zero, -128, 127).astype(np.int8)[None]
        )
        interpreter.invoke()
        rows.append(interpreter.get_tensor(logits["index"])[0])
    scale, zero = logits["quantization"]
    return (np.array(rows, np.float32) - zero) * scale


def test_calibrated_it_answers_as_the_float_file(tmp_path: Path, small: Architecture, images: np.ndarray) -> None:
    model = tflite.write(small, tmp_path / "float.tflite")
    expected = predict(model, images)
    path = quantize(model, tmp_path / "int8.tflite", images)
    assert np.corrcoef(answers(path, images).ravel(), expected.ravel())[0, 1] > 0.9
    assert path.stat().st_size < model.stat().st_size / 2


def test_what_is_dead_does_not_spoil_the_file(tmp_path: Path, images: np.ndarray) -> None:
    """Squeeze-excite behind a ReLU that never opens, as training leaves it at times: XNNPACK takes the file."""
    architecture = Architecture.parse("stem_s2_c8,ds_r1_k3_s1_c8_se0.25,head_c16,net_i32_o10")
    weights = build(architecture, seed=0).state_dict()
    weights["blocks.0.0.se.reduce.bias"].fill_(-100)
    weights["blocks.0.0.se.expand.bias"].fill_(0.5)
    model = tflite.write(architecture, tmp_path / "float.tflite", weights)
    path = quantize(model, tmp_path / "int8.tflite", images)
    assert np.corrcoef(answers(path, images).ravel(), predict(model, images).ravel())[0, 1] > 0.9


def test_made_up_ranges_give_the_same_operators_and_the_same_bytes_every_time(
    tmp_path: Path, small: Architecture, images: np.ndarray
) -> None:
    model = tflite.write(small, tmp_path / "float.tflite")
    quick = quantize(model, tmp_path / "quick.tflite")
    calibrated = quantize(model, tmp_path / "calibrated.tflite", images)
    assert Counter(operators(quick)) == Counter(operators(calibrated))
    assert "DEQUANTIZE" not in operators(quick)
    assert quick.read_bytes() == quantize(model, tmp_path / "again.tflite").read_bytes()
    answers(quick, images[:1])  # it runs


def test_nothing_is_printed(
    tmp_path: Path, small: Architecture, images: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tflite.write(small, tmp_path / "float.tflite")
    capfd.readouterr()
    quantize(model, tmp_path / "quick.tflite")
    quantize(model, tmp_path / "calibrated.tflite", images)
    written = capfd.readouterr()
    assert written.out == "" and [line for line in written.err.splitlines() if not line.startswith("INFO:")] == []


def test_what_cannot_be_quantized_is_told_in_one_line(tmp_path: Path, small: Architecture) -> None:
    (tmp_path / "text.tflite").write_text("no")
    with pytest.raises(UsageError, match=r"text\.tflite: not a \.tflite file"):
        quantize(tmp_path / "text.tflite", tmp_path / "x.tflite")
    model = tflite.write(small, tmp_path / "float.tflite")
    with pytest.raises(MnasError, match=r"nowhere/x\.tflite: cannot be written: No such file"):
        quantize(model, tmp_path / "nowhere" / "x.tflite")
    with pytest.raises(UsageError, match=r"takes images of shape \(32, 32, 3\), not \(8, 8, 3\)"):
        quantize(model, tmp_path / "x.tflite", np.zeros((1, 8, 8, 3), np.float32))
    with pytest.raises(MnasError, match=r"float\.tflite: cannot be quantized: \w+: ") as caught:
        quantize(model, tmp_path / "x.tflite", np.zeros((0, 32, 32, 3), np.float32))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "x.tflite").exists()
