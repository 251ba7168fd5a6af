"""`mnas export` and `evaluate` as their user runs them, on a folder of pictures."""

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
