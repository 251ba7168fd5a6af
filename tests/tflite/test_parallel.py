"""Predictions by several processes: those of one, in their order; and nothing left behind when it ends badly."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnascli.errors import MnasError, UsageError
from mnascli.space.architecture import Architecture
from mnascli.tflite import parallel, write
from mnascli.tflite.interpreter import predict
from mnascli.tflite.parallel import predict_all

TINY = Architecture.parse("stem_c8,ir_r1_k3_s1_e3_c8_se0.25,head_c16,net_i8_ch1_o3")
SCALE, OFFSET = np.full(1, 1 / 64, np.float32), np.full(1, -2, np.float32)
PIXELS = np.random.default_rng(0).integers(0, 256, (3000, 8, 8, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(TINY, tmp_path_factory.mktemp("model") / "model.tflite")


@pytest.fixture
def helpers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Those that are started: always, and waited for, as if there were much to do."""
    started: list[Any] = []
    start = parallel._helpers

    @contextmanager
    def waited_for(*arguments: Any) -> Iterator[list[Any]]:
        with start(*arguments) as made:
            started.extend(made)
            assert all(one.pipe.poll(60) for one in made)
            yield made

    monkeypatch.setattr(parallel, "_helpers", waited_for)
    monkeypatch.setattr(parallel, "WORTH_S", 0.0)
    return started


def assert_ended(helpers: list[Any]) -> None:
    assert helpers and all(one.process.poll() is not None for one in helpers)


def test_more_processes_give_the_same_to_the_last_bit(model: Path, helpers: list[Any]) -> None:
    expected = predict(model, PIXELS * SCALE + OFFSET)
    np.testing.assert_array_equal(predict_all(model, PIXELS, SCALE, OFFSET, 1), expected)
    assert not helpers
    np.testing.assert_array_equal(predict_all(model, PIXELS, SCALE, OFFSET, 3), expected)
    assert len(helpers) == 2 and all(one._given for one in helpers)
    assert_ended(helpers)


@pytest.mark.parametrize("count", [0, 1, 100])
def test_little_is_done_without_starting_any(model: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(parallel, "_helpers", None)
    expected = predict(model, PIXELS[:count] * SCALE + OFFSET)
    np.testing.assert_array_equal(predict_all(model, PIXELS[:count], SCALE, OFFSET, 2), expected)


def test_what_goes_wrong_there_is_told_as_if_it_were_here(
    model: Path, helpers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = parallel._helpers
    monkeypatch.setattr(parallel, "_helpers", lambda n, piece, task: start(n, piece, ("gone.tflite", *task[1:])))
    with pytest.raises(UsageError, match=r"^gone\.tflite: cannot be read: No such file or directory$"):
        predict_all(model, PIXELS, SCALE, OFFSET, 2)
    assert_ended(helpers)


def test_a_process_that_dies_is_told_in_one_line(
    model: Path, helpers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "START", "import os; os._exit(7)")
    with pytest.raises(MnasError, match=r"^a process .* ended with exit code 7: try --workers 1$"):
        predict_all(model, PIXELS, SCALE, OFFSET, 2)
    assert_ended(helpers)


class Interrupted:
    """Pictures, in whose second block the user presses Ctrl-C."""

    def __len__(self) -> int:
        return len(PIXELS)

    def __getitem__(self, key: slice) -> Any:
        if key.start:
            raise KeyboardInterrupt
        return PIXELS[key]


def test_ctrl_c_ends_all(model: Path, helpers: list[Any]) -> None:
    with pytest.raises(KeyboardInterrupt):
        predict_all(model, Interrupted(), SCALE, OFFSET, 3)
    assert_ended(helpers)
