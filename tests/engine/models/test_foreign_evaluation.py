"""`mnas evaluate` and `mnas benchmark` on files that mnas did not write: the same network, told in other ways."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from foreign import CODES, TYPES, Change, Foreign
from PIL import Image
from typer.testing import CliRunner, Result

from mnascli import nets, tflite
from mnascli.cli.main import app
from mnascli.data import load
from mnascli.devices.device import ModelError
from mnascli.engine.benches import side_by_side
from mnascli.errors import UsageError
from mnascli.space import Architecture
from mnascli.tflite.metadata import Metadata, add_metadata, read_metadata
from mnascli.tflite.quantize import quantize
from mnascli.training.loop import train
from mnascli.training.recipe import Recipe

NET = Architecture.parse("stem_s1_c8,ds_r1_k3_s2_c8,ir_r2_k3_s2_e2_c8_se0.25,head_c16,net_i12_o3")
CLASSES = ("bottom", "middle", "top")
ABOUT = Metadata("", "", CLASSES, (0.5,) * 3, (0.5,) * 3)


def fill(folder: Path, count: int) -> None:
    """A bright bar at one of three places, in pixels of 0 to 255."""
    rng = np.random.default_rng(len(str(folder.name)))
    for index in range(count):
        label = index % 3
        pixels = rng.integers(0, 160, (12, 12, 3))
        pixels[4 * label : 4 * label + 3] += 96
        place = folder / CLASSES[2 - label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"{index}.png")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures, a bare float file `bare.tflite` of what was learnt, and its int8 twin `int8.tflite`."""
    root = tmp_path_factory.mktemp("foreign")
    fill(root / "bars" / "train", 120)
    fill(root / "bars" / "test", 90)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNAS_CACHE_HOME", str(root / "cache"))
        dataset = load(str(root / "bars"), size=12, channels=3)
        # What Keras' networks see: -1 to 1.
        dataset = replace(dataset, mean=(0.5,) * 3, std=(0.5,) * 3)
        recipe = Recipe(epochs=12, batch_size=16, optimizer="adamw", learning_rate=0.1, batch_norm_momentum=0.1)
        network = nets.build(NET, seed=0)
        train(network, dataset, recipe, seed=0, threads=1)
        bare = tflite.write(NET, root / "bare.tflite", network.state_dict())
        quantize(bare, root / "int8.tflite", dataset.normalise(dataset.train.images[:60]))
    return root


@pytest.fixture
def foreign(made: Path, tmp_path: Path) -> Foreign:
    return Foreign(shutil.copy(made / "bare.tflite", tmp_path / "foreign.tflite"))


def evaluate(file: Path, made: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["evaluate", str(file), "--data", str(made / "bars"), "--json", *options])


def answer(file: Path, made: Path, *options: str) -> dict[str, Any]:
    result = evaluate(file, made, *options)
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def refusal(result: Result) -> str:
    """What is said in one line, with exit code 2."""
    assert isinstance(result.exception, UsageError) and "\n" not in str(result.exception)
    return str(result.exception)


HALF = ("--mean", "0.5", "--std", "0.5")


@pytest.fixture(scope="module")
def right(made: Path) -> dict[str, Any]:
    found = answer(made / "bare.tflite", made, *HALF)
    assert 0.8 < found["top1"] < 1
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.softmax(),
        lambda one: one.softmax().reshaped(1, 1, 1, 3),
        lambda one: one.softmax().end_with(CODES.CAST, (1, 3), schema.CastOptionsT(), kind=TYPES.FLOAT16),
        lambda one: one.take_at_once(7),
        lambda one: one.reshaped(3),
        lambda one: one.cast_from(TYPES.FLOAT16),
    ],
)
def test_the_same_network_has_the_same_accuracy_and_calibration(
    made: Path, right: dict[str, Any], foreign: Foreign, change: Change
) -> None:
    found = answer(change(foreign).write(), made, *HALF)
    assert found["top1"] == right["top1"]
    assert found["calibration_error"] == pytest.approx(right["calibration_error"], abs=1e-3)


def test_int8_softmax(made: Path, right: dict[str, Any], foreign: Foreign) -> None:
    """Its scale tells the normalisation; and its shares of 256 are not made probabilities again."""
    shutil.copy(made / "int8.tflite", foreign.path)
    plain = answer(foreign.path, made)
    assert plain["mean"] == [0.5] * 3 and plain["std"] == [0.5] * 3
    assert plain["top1"] == pytest.approx(right["top1"], abs=0.03)
    soft = Foreign(foreign.path)
    options = schema.SoftmaxOptionsT(beta=1.0)
    soft.end_with(CODES.SOFTMAX, (1, 3), options, kind=TYPES.INT8, scale=(1 / 256, -128)).write()
    found = answer(soft.path, made)
    assert (plain["gives"], found["gives"]) == ("logits", "probabilities")
    assert found["top1"] == pytest.approx(plain["top1"], abs=0.03)  # near 1 two of them may be equal
    assert found["calibration_error"] == pytest.approx(plain["calibration_error"], abs=0.01)
    assert "input ranges" in evaluate(soft.path, made).stderr


@pytest.mark.parametrize("kind", [TYPES.UINT8, TYPES.INT32, TYPES.FLOAT32])
def test_a_network_that_takes_pixels_as_they_are(
    made: Path, right: dict[str, Any], foreign: Foreign, kind: int
) -> None:
    """It normalises by itself; integers without a scale divided by zero."""
    foreign.scaled_by(CODES.SUB, 1.0).scaled_by(CODES.MUL, 1 / 127.5)
    if kind != TYPES.FLOAT32:
        foreign.cast_from(kind)
    result = evaluate(foreign.write(), made)
    assert "pixels from 0 to 255 as they are" in result.stderr
    assert json.loads(result.stdout)["top1"] == right["top1"]
    # The metadata of such a file may tell what the network does inside.
    about = replace(ABOUT, mean=(0.5,) * 3, std=(0.5,) * 3)
    if kind == TYPES.UINT8:
        assert answer(add_metadata(foreign.path, foreign.path, about), made)["top1"] == right["top1"]


def test_int8_without_a_scale_needs_a_word(made: Path, right: dict[str, Any], foreign: Foreign) -> None:
    foreign.scaled_by(CODES.MUL, 1 / 127.5).cast_from(TYPES.INT8)
    result = evaluate(foreign.write(), made)
    assert "takes int8 without a scale" in refusal(result)
    given = answer(foreign.path, made, "--mean", "0.50196", "--std", "0.0039216")
    assert given["top1"] == pytest.approx(right["top1"], abs=0.03)


# --- sizes left open


def test_a_size_left_open_is_given_or_known_or_refused(made: Path, right: dict[str, Any], foreign: Foreign) -> None:
    described = add_metadata(foreign.path, foreign.path, ABOUT)
    told = Foreign(described).leave_open(1, 2).write()
    with zipfile.ZipFile(told, "a") as attached:
        attached.writestr("labels.txt", "\n".join(CLASSES))
    about = read_metadata(told)
    assert about is not None and about.size == 12
    known = answer(told, made)
    assert (known["size"], known["top1"]) == (12, right["top1"])
    assert answer(told, made, "--size", "16")["size"] == 16
    mute = Foreign(shutil.copy(made / "bare.tflite", told.with_name("mute.tflite"))).leave_open(1, 2).write()
    result = evaluate(mute, made, *HALF)
    assert "choose one with --size" in refusal(result)
    given = answer(mute, made, "--size", "12", *HALF)
    assert given["top1"] == right["top1"]
    fixed = evaluate(made / "bare.tflite", made, "--size", "16")
    assert "12x12 pixels, not of 16x16" in refusal(fixed)
    # The second is read at the size of the first.
    assert answer(told, made, "--against", str(mute))["differing_predictions"] >= 0


def test_what_is_measured_has_the_size_that_was_asked_for(
    made: Path, foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On every kind of device: what is sent there leaves nothing open."""
    measured: list[list[int]] = []

    class Bench:
        name, pool = "bench", type("Pool", (), {"members": ()})()

        def measure_files(self, files: list[Path]) -> list[ModelError]:
            measured.extend(list(Foreign(file).image.shape) for file in files)
            return [ModelError("measured enough")] * len(files)

        def close(self) -> None:
            pass

    monkeypatch.setattr(side_by_side, "open_benches", lambda devices: [Bench()])
    path = foreign.leave_open(0, 1, 2).write()
    for command in (["benchmark", str(path)], ["benchmark", str(path), str(path)]):
        result = CliRunner().invoke(app, [*command, "--size", "20"])
        assert "measured enough" in str(result.exception)
    assert measured == [[1, 20, 20, 3]] * 3
    for options, says in (
        ([], "takes pictures of any size"),
        (["--size", "20", "--width", "0.5"], "--width and --classes are for models"),
        (["--size", "20", "--classes", "4"], "--width and --classes are for models"),
    ):
        result = CliRunner().invoke(app, ["benchmark", str(path), *options])
        assert says in refusal(result)


# --- classes


def test_a_background_class(made: Path, right: dict[str, Any], foreign: Foreign) -> None:
    """As Google's ImageNet models have it: 1,001 classes, of which the first is none."""
    pads = [(TYPES.INT32, np.array([[0, 0], [1, 0]], np.int32))]
    path = foreign.softmax().end_with(CODES.PAD, (1, 4), schema.PadOptionsT(), beside=pads).write()
    result = evaluate(path, made, *HALF)
    assert "has 4 classes, bars has 3: if its first is a background class" in refusal(result)
    assert answer(path, made, "--background", *HALF)["top1"] == right["top1"]
    named = replace(ABOUT, labels=("background", *CLASSES))
    described = evaluate(add_metadata(path, path, named), made)
    assert json.loads(described.stdout)["top1"] == right["top1"] and "background" in described.stderr
    assert "has 3 classes, bars has 3" in refusal(evaluate(made / "bare.tflite", made, "--background"))


def test_classes_in_another_order_are_matched_by_name(made: Path, right: dict[str, Any], foreign: Foreign) -> None:
    reversing = [(TYPES.INT32, np.array([1], np.int32))]
    foreign.end_with(CODES.REVERSE_V2, (1, 3), schema.ReverseV2OptionsT(), beside=reversing)
    about = replace(ABOUT, labels=CLASSES[::-1])
    path = add_metadata(foreign.write(), foreign.path, about)
    assert answer(path, made)["top1"] == right["top1"]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (("bottom", "middle"), "gives 3 numbers and has names for 2"),
        (("bottom", "middle", "left"), "its class 'left' is 'top' in bars"),
        (("bottom", "bottom", "top"), "its class 'bottom' is 'middle' in bars"),
    ],
)
def test_other_classes_are_refused(made: Path, foreign: Foreign, labels: tuple[str, ...], says: str) -> None:
    path = add_metadata(foreign.path, foreign.path, replace(ABOUT, labels=labels))
    result = evaluate(path, made)
    assert says in refusal(result)


def test_classes_are_looked_at_before_pictures(made: Path, foreign: Foreign, tmp_path: Path) -> None:
    """A million pictures would be read first: here the first of them would end it."""
    for name in ("a", "b"):
        (tmp_path / "broken" / name).mkdir(parents=True)
        (tmp_path / "broken" / name / "0.png").write_bytes(b"no picture")
    arguments = ["evaluate", str(foreign.path), "--data", str(tmp_path / "broken")]
    result = CliRunner().invoke(app, arguments)
    assert "has 3 classes, broken has 2" in refusal(result)
