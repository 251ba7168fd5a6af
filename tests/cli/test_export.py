"""`mnas export` and `evaluate` as their user runs them, on a folder of pictures."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_cli import answer, assert_one_line, mnas

from mnascli import nets
from mnascli.data import load
from mnascli.space import Architecture
from mnascli.training import Recipe, save_checkpoint

NET = Architecture.parse("stem_s2_c8,ds_r1_k3_s1_c8,head_c16,net_i16_o2")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures of two classes and a checkpoint for them; nothing need be learnt here."""
    folder = tmp_path_factory.mktemp("work")
    rng = np.random.default_rng(0)
    for label in ("dark", "light"):
        (folder / "pictures" / label).mkdir(parents=True)
        for number in range(60):
            pixels = rng.integers(0, 100, (16, 16, 3)) + 150 * (label == "light")
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "pictures" / label / f"{number}.png")
    dataset = load(str(folder / "pictures"), size=16, report=lambda line: None)
    save_checkpoint(folder / "net" / "model.safetensors", nets.build(NET, 0), dataset, Recipe(), accuracy=0.5)
    return folder


def test_from_a_checkpoint_to_an_int8_file_that_is_evaluated_again(work: Path) -> None:
    arguments = ("--data", "pictures", "--writer", "own", "-q", "int8", "--max-loss", 1)
    exported = answer("export", "net", "--tflite", "-o", "net.tflite", *arguments, cwd=work)
    assert {"file", "size_mb", "max_abs_difference", "latency_ms"} <= exported.keys()
    assert exported["latency_ms"]["host"] > 0  # type: ignore[index]
    assert exported["float_operators"] == 0
    scores = answer("evaluate", "net.tflite", "--data", "pictures", "--against", "net", cwd=work)
    assert scores["top1"] == exported["test_top1"]
    assert scores["images"] == exported["test_images"]
    assert 0 <= scores["differing_predictions"] <= scores["images"]  # type: ignore[operator]
    assert [one["name"] for one in scores["classes"]] == ["dark", "light"]  # type: ignore[attr-defined]
    text = mnas("evaluate", "net", "--data", "pictures", cwd=work)
    assert text.returncode == 0 and "calibration error" in text.stdout and "recall" in text.stdout
    card = (work / "net.card.md").read_text()
    assert "ai-edge-litert" in card and "0 of" in card
    missed = mnas("export", "net", "--tflite", *arguments, "--target-ms", 1e-6, cwd=work)
    assert missed.returncode == 4 and (work / "model.tflite").exists()
    assert missed.stderr.strip().splitlines()[-1].startswith("mnas: model.tflite takes ")


def test_a_checkpoint_brings_its_data_wherever_one_stands(work: Path, tmp_path: Path) -> None:
    """Without --data never another data set: that of the training, or a line that asks for it."""
    net = work / "net"
    known = answer("evaluate", net, cwd=tmp_path)
    given = answer("evaluate", net, "--data", work / "pictures", cwd=tmp_path)
    assert (known["data"], known["top1"], known["images"]) == ("pictures", given["top1"], given["images"])
    own = ("--tflite", "--writer", "own", "--max-loss", 1)
    exported = answer("export", net, *own, "-q", "int8", "-o", "a.tflite", cwd=tmp_path)
    again = answer("export", net, *own, "-q", "int8", "-o", "b.tflite", "--data", work / "pictures", cwd=tmp_path)
    assert exported["data"] == "pictures" and exported["test_top1"] == again["test_top1"]
    assert (tmp_path / "a.tflite").read_bytes() == (tmp_path / "b.tflite").read_bytes()  # calibrated on the same
    assert str(work).encode() not in (tmp_path / "a.tflite").read_bytes()  # a place here says nothing elsewhere
    assert "test pictures of pictures" in (tmp_path / "a.card.md").read_text()
    assert_one_line(mnas("evaluate", "a.tflite", cwd=tmp_path), 2, "give them with --data")
    assert answer("evaluate", "a.tflite", "--against", net, cwd=tmp_path)["data"] == "pictures"
    assert answer("evaluate", net, "--against", "a.tflite", cwd=tmp_path)["data"] == "pictures"
    trained = mnas("train", net, "-o", "new", "--epochs", 1, "--batch-size", 16, "--threads", 1, cwd=tmp_path)
    assert f"no data was named: training on {work / 'pictures'}" in trained.stderr and trained.returncode == 0


def test_classes_are_called_in_the_file_as_in_the_folder_or_refused_before_the_work(work: Path, tmp_path: Path) -> None:
    for label, name in (("dark", " [bold]50 %, L'\u00e9t\u00e9: \U0001f600 "), ("light", "x" * 255)):
        shutil.copytree(work / "pictures" / label, tmp_path / "pictures" / name)
    small = ("--epochs", 1, "--batch-size", 16, "--threads", 1)
    answer("train", NET, "--data", "pictures", "-o", "net", *small, cwd=tmp_path)
    answer("export", "net", "--tflite", "--writer", "own", "-o", "net.tflite", cwd=tmp_path)
    classes = answer("evaluate", "net.tflite", "--data", "pictures", cwd=tmp_path)["classes"]
    assert [one["name"] for one in classes] == ["[bold]50 %, L'\u00e9t\u00e9: \U0001f600", "x" * 255]  # type: ignore[attr-defined]
    assert "[bold]50 %" in mnas("evaluate", "net", cwd=tmp_path).stdout
    os.rename(tmp_path / "pictures" / ("x" * 255), os.fsencode(tmp_path / "pictures") + b"/caf\xe9")  # noqa: PTH104
    for command in (("search", "--name", "run"), ("train", NET, "-o", "new", *small)):
        done = mnas(*command, "--data", "pictures", cwd=tmp_path)
        assert_one_line(done, 1, r"class caf\xe9: bytes that are not UTF-8 in its name")
        assert not (tmp_path / "runs").exists() and not (tmp_path / "new").exists()


def test_pictures_of_a_test_part_alone_are_evaluated_on(work: Path, tmp_path: Path) -> None:
    (tmp_path / "Testing").mkdir()
    for label in ("dark", "light"):
        shutil.copytree(work / "pictures" / label, tmp_path / "Testing" / label)
    assert answer("evaluate", work / "net", "--data", tmp_path)["images"] == 120
    for command in (("export", work / "net", "--tflite"), ("train", work / "net", "-o", tmp_path / "new")):
        done = mnas(*command, "--data", tmp_path, cwd=tmp_path)
        assert_one_line(done, 1, "no train part, only test")


def test_data_that_moved_changed_or_have_other_classes(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "pictures", tmp_path / "pictures")
    dataset = load(str(tmp_path / "pictures"), size=16, report=lambda line: None)
    save_checkpoint(tmp_path / "net" / "model.safetensors", nets.build(NET, 0), dataset, Recipe(), accuracy=0.5)
    place = tmp_path / "pictures"
    (place / "dark" / "0.png").unlink()
    for command in (("evaluate", "net"), ("export", "net", "--tflite"), ("export", "net", "--onnx")):
        done = mnas(*command, cwd=tmp_path)
        assert_one_line(done, 2, f"{place} changed since the training")
    taken = mnas("evaluate", "net", "--data", place, cwd=tmp_path)
    assert taken.returncode == 0 and f"{place} changed since the training" in taken.stderr
    place.rename(tmp_path / "moved")
    assert_one_line(mnas("evaluate", "net", cwd=tmp_path), 2, f"was trained on {place}, which cannot be read now")
    answer("evaluate", "net", "--data", "moved", cwd=tmp_path)
    (tmp_path / "moved" / "light").rename(tmp_path / "moved" / "cat")
    says = "its class 0, 'dark', is 'cat' in moved"
    assert_one_line(mnas("evaluate", "net", "--data", "moved", cwd=tmp_path), 2, says)
    assert_one_line(mnas("export", "net", "--tflite", "--data", "moved", cwd=tmp_path), 2, says)
    (tmp_path / "moved" / "classes.txt").write_text("cat light\ndark dark\n")
    says = "its class 0, 'dark', is 'light' in moved, the same classes in another order"
    assert_one_line(mnas("evaluate", "net", "--data", "moved", cwd=tmp_path), 2, says)


@pytest.mark.parametrize(("kind", "runtime"), [("onnx", "onnxruntime"), ("pte", "executorch.runtime")])
def test_other_files_are_checked_with_their_runtime(work: Path, kind: str, runtime: str) -> None:
    pytest.importorskip(runtime)
    result = answer("export", "net", f"--{kind}", "-o", f"net.{kind}", "--data", "pictures", cwd=work)
    assert result["max_abs_difference"] < 1e-3  # type: ignore[operator]
    assert result["differing_predictions"] == 0
    assert "centre square" in result["input"]["crop"] and len(result["input"]["mean"]) == 3  # type: ignore[index]
    assert (work / f"net.{kind}").stat().st_size > 0


def test_what_is_wrong_is_one_line(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_one_line(mnas("export", "net", cwd=work), 2, "say what to export")
    assert_one_line(mnas("export", "mnasnet-a1", "--tflite", cwd=work), 2, "has no trained weights")
    there = mnas("export", "net", "--tflite", "--data", "pictures", "-o", "no/net.tflite", cwd=work)
    assert there.returncode == 1 and "cannot be written" in there.stderr and not (work / "no").exists()
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    assert_one_line(mnas("export", "net", "--onnx", cwd=work), 1, "pip install 'mnas[onnx]'")
    monkeypatch.setitem(__import__("sys").modules, "executorch", None)
    assert_one_line(mnas("export", "net", "--pte", cwd=work), 1, "pip install 'mnas[executorch]'")
    assert_one_line(mnas("export", "net", "--pte", "--onnx", cwd=work), 2, "say what to export")
