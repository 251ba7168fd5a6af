"""Running .tflite files, and what is said of files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mnascli.errors import UsageError
from mnascli.space.architecture import Architecture
from mnascli.tflite import write
from mnascli.tflite.interpreter import predict
from mnascli.tflite.reading import operators

TINY = Architecture.parse("stem_c8,ir_r1_k3_s1_e3_c8_se0.25,head_c16,net_i8_ch1_o3")


def test_operators_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = write(TINY, tmp_path / "model.tflite")
    squeeze_excite = ["MEAN", "CONV_2D", "CONV_2D", "LOGISTIC", "MUL"]
    stem_of_one_channel, expand, depthwise = "DEPTHWISE_CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D"
    assert operators(path) == [
        *(stem_of_one_channel, expand, depthwise, *squeeze_excite, "CONV_2D", "ADD"),
        *("CONV_2D", "MEAN", "FULLY_CONNECTED"),
    ]


def test_each_image_has_its_own_row(tmp_path: Path) -> None:
    path = write(TINY, tmp_path / "model.tflite")
    images = np.random.default_rng(0).standard_normal((3, 8, 8, 1), np.float32)
    together = predict(path, images)
    assert together.shape == (3, 3)
    assert together.dtype == np.float32
    for row, image in enumerate(images):
        np.testing.assert_array_equal(predict(path, image[np.newaxis]), together[[row]])
    np.testing.assert_array_equal(predict(path, images[::-1]), together[::-1])
    np.testing.assert_allclose(predict(path, images, threads=2), together, atol=1e-5)


def test_no_images(tmp_path: Path) -> None:
    path = write(TINY, tmp_path / "model.tflite")
    assert predict(path, np.empty((0, 8, 8, 1), np.float32)).shape == (0, 3)


def test_images_of_another_shape(tmp_path: Path) -> None:
    path = write(TINY, tmp_path / "model.tflite")
    with pytest.raises(UsageError, match=r"takes images of shape \(8, 8, 1\), not \(8, 8, 3\)"):
        predict(path, np.zeros((1, 8, 8, 3), np.float32))


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x00" * 4 + b"TFL2" + b"\x00" * 64, b"\x89PNG\r\n\x1a\n" * 9])
def test_a_file_that_is_no_tflite(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"model\.tflite: not a \.tflite file"):
        operators(path)


def test_a_truncated_file(tmp_path: Path) -> None:
    content = write(TINY, tmp_path / "model.tflite").read_bytes()
    for length in range(8, len(content), 101):
        path = tmp_path / "cut.tflite"
        path.write_bytes(content[:length])
        with pytest.raises(UsageError, match=r"cut\.tflite: a damaged \.tflite file"):
            predict(path, np.zeros((1, 8, 8, 1), np.float32))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.tflite: cannot be read: No such file"):
        operators(tmp_path / "none.tflite")
