"""`mnas train` as its user runs it: flags, resuming, pre-trained starts, and what is said where something is wrong."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_cli import answer, mnas

from mnascli import nets
from mnascli.data.dataset import Split, from_arrays
from mnascli.space import Architecture
from mnascli.training import Recipe, save_checkpoint
from mnascli.training.tensors import read_about

NET = "stem_s2_c8,ds_r1_k3_s1_c8,ir_r1_k3_s2_e2_c8,head_c16,net_i16"
SHORT = ("--epochs", "1", "--batch-size", "16", "--threads", "1", "--device", "cpu")


def picture(kind: str, value: int, seed: int) -> bytes:
    """An ordinary picture of some sort: its class is its brightness."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(18, 40)), int(rng.integers(18, 40)), 3)
    image = Image.fromarray((rng.integers(0, 60, shape) + value).astype(np.uint8))
    options = {}
    file = io.BytesIO()
    if kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        options, kind = {"exif": exif}, "JPEG"
    elif kind in ("L", "P", "CMYK", "RGBA"):
        image, kind = image.convert(kind), "TIFF" if kind == "CMYK" else "PNG"
    elif kind == "16":
        image, kind = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 256), "PNG"
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures of unequal sizes, in many formats and modes."""
    root = tmp_path_factory.mktemp("pictures")
    kinds = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "L", "P", "CMYK", "RGBA", "16", "turned")
    for label, name in enumerate(("dark", "bright")):
        (root / name).mkdir()
        for number in range(22):
            data = picture(kinds[number % len(kinds)], 150 * label, 100 * label + number)
            (root / name / f"{number:02}.{'jpg' if number % 2 else 'png'}").write_bytes(data)
    return root


def test_a_folder_of_ordinary_pictures_is_trained_on_and_evaluated(tmp_path: Path, pictures: Path) -> None:
    settings = ("random_crop=0.5", "rand_augment=1", "color_jitter=0.1", "evaluation_crop=0.9", "mixup=0.2", "ema=0.5")
    flags = [flag for setting in settings for flag in ("--set", setting)]
    command = ("train", NET, "--data", pictures, *SHORT, *flags, "--epochs", "2", "--workers", "1", "--tensorboard")
    trained = answer(*command, "-o", tmp_path / "net")
    assert trained["images"] == 6
    assert str(trained["architecture"]).endswith("net_i16_o2")
    assert list((tmp_path / "net" / "tb").glob("events.*"))
    evaluated = answer("evaluate", tmp_path / "net", "--data", pictures)
    assert (evaluated["top1"], evaluated["images"]) == (trained["top1"], 6)
    again = mnas(*command, "-o", tmp_path / "net")  # what is done is not done again
    assert again.returncode == 0
    assert "epoch" not in again.stderr


def test_pre_trained_start_frozen_features_and_other_classes(tmp_path: Path, pictures: Path) -> None:
    grey = Split(np.zeros((2, 16, 16, 1), np.uint8), np.array([0, 1]))
    network = nets.build(Architecture.parse(f"{NET}_ch1_o2"))
    first = tmp_path / "grey.safetensors"
    save_checkpoint(first, network, from_arrays("grey", ["a", "b"], [grey] * 4), Recipe(), accuracy=0.5)
    done = mnas("train", NET, "--data", pictures, *SHORT, "--pretrained", first, "--freeze", "features",
                "--lr", "0.1", "-o", tmp_path / "two")  # fmt: skip
    assert done.returncode == 2  # grey weights: what NET was trained on decides its channels
    assert "stem.conv.conv.weight has the shape (8, 1, 3, 3), not (8, 3, 3, 3)" in done.stderr
    assert not (tmp_path / "two").exists()
    colour = answer("train", NET, "--data", pictures, *SHORT, "-o", tmp_path / "colour")
    for name in ("a", "b", "c"):
        (tmp_path / "three" / name).mkdir(parents=True)
        for number in range(4):
            data = picture("JPEG", 60 * "abc".index(name), number)
            (tmp_path / "three" / name / f"{number}.jpg").write_bytes(data + bytes([number]))
    done = mnas("train", NET, "--data", tmp_path / "three", *SHORT, "--pretrained", colour["checkpoint"],
                "--freeze", "features", "-o", tmp_path / "tuned")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the classifier is new: 2 classes became 3" in done.stderr
    weights = [tmp_path / name / "model.safetensors" for name in ("colour", "tuned")]
    before, after = (dict(load_file(file)) for file in weights)
    assert torch.equal(before["stem.conv.conv.weight"], after["stem.conv.conv.weight"])


def load_file(file: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return dict(load_file(file))


def test_the_recipe_comes_from_a_template_and_flags(tmp_path: Path) -> None:
    from mnascli.engine.config import templates
    from mnascli.engine.models.recipe import final_recipe

    paper = final_recipe("mnasnet-a1", tmp_path, "imagenet", ["mixup=0.2", "freeze=[stem]"], {"epochs": 9})
    assert (paper.optimizer, paper.batch_size, paper.epochs, paper.mixup, paper.freeze) == (
        "rmsprop", 4096, 9, 0.2, ("stem",)
    )  # fmt: skip
    recipe = templates()["imagenet"].final.recipe
    assert recipe.learning_rate_at(5 * 312, 312, recipe.batch_size) == pytest.approx(0.256 * 0.97**2)
    assert (recipe.ema, recipe.warmup_epochs, recipe.random_crop, recipe.evaluation_crop) == (0.9999, 5, 0.08, 0.875)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--set", "mixup"), "expected KEY=VALUE"),
        (("--set", "mixpu=0.2"), "did you mean 'mixup'?"),
        (("--set", "ema=2"), "ema: "),
        (("--freeze", "layer1"), "no such part"),
        (("--pretrained", "none.pth"), "none.pth: no such file"),
        (("--data", "wds:none-{0..3}.tar"), "no shard none-0.tar"),
        (("--data", "wds:https://example.org/0.tar"), "must be local files"),
        (("--data", "hf:/none/there"), "the datasets library cannot load it"),
        (("--device", "mps"), "torch finds no mps"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_and_nothing_is_written(
    tmp_path: Path, pictures: Path, flags: tuple[str, ...], says: str
) -> None:
    done = mnas("train", NET, *SHORT, "--data", pictures, *flags, "-o", tmp_path / "net", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert done.stderr.count("\n") == 1 or "preparing" in done.stderr
    assert not list((tmp_path / "net").glob("*.safetensors")) if (tmp_path / "net").exists() else True


def test_nothing_is_overwritten(tmp_path: Path, pictures: Path) -> None:
    answer("train", NET, "--data", pictures, *SHORT, "-o", tmp_path / "net")
    before = {file.name: file.read_bytes() for file in (tmp_path / "net").iterdir()}
    other = mnas("train", NET, "--data", pictures, *SHORT, "--epochs", "2", "-o", tmp_path / "net")
    assert other.returncode == 2
    assert "recipe.epochs" in other.stderr
    (tmp_path / "net" / "training.safetensors").unlink()
    del before["training.safetensors"]
    other = mnas("train", NET, "--data", pictures, *SHORT, "-o", tmp_path / "net")
    assert "has a model.safetensors of another training" in other.stderr
    assert {file.name: file.read_bytes() for file in (tmp_path / "net").iterdir()} == before
    half = tmp_path / "half.safetensors"
    half.write_bytes(before["model.safetensors"][:1000])
    for command in (("evaluate", half), ("train", NET, "--pretrained", half, "-o", tmp_path / "new")):
        done = mnas(*command)
        assert done.returncode == 2
        assert f"{half}: not a safetensors file, or cut off" in done.stderr
    done = mnas("evaluate", tmp_path / "net", "--data", "fashion-mnist-10k")
    assert done.returncode == 2
    assert "has 2 classes, fashion-mnist-10k has 10" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_kill_save_and_say_how_to_go_on(number: signal.Signals, tmp_path: Path) -> None:
    command = ["train", "stem_s2_c4,ds_r1_k3_s2_c8,head_c16,net_i28", "--threads", "1", "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mnascli.cli.main", *command, "--epochs", "5000", "--output", "my net"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    try:
        said = ""
        while "epoch 1/5000" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        process.send_signal(number)
        out, rest = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and out == ""
    lines = [line for line in rest.splitlines() if "epoch" not in line or "mnas" in line]
    assert lines[0] == "stopping: saving the training so far; press Ctrl-C again to leave at once"
    assert lines[-1].startswith("mnas: interrupted; the training so far is kept in my net: the same command resumes it")
    assert lines[-1].endswith("--epochs 5000 --output 'my net'")
    assert read_about(tmp_path / "my net" / "training.safetensors")["step"] > 0
    assert not (tmp_path / "my net" / "model.safetensors").exists()
