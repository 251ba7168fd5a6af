"""From a trained network to a file that can be trusted, and to no file where it cannot."""

import json
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

from mnascli import nets, tflite
from mnascli.data import load
from mnascli.data.dataset import Dataset, Split, from_arrays
from mnascli.engine.config import dump, resolve
from mnascli.engine.export import model_card
from mnascli.engine.export import tflite as exporting
from mnascli.engine.export.tflite import Options, export
from mnascli.engine.models.file_data import FileReading, data_for_file
from mnascli.engine.models.find import Model
from mnascli.engine.models.pictures import fitting_data
from mnascli.errors import MnasError, UsageError
from mnascli.space import Architecture
from mnascli.tflite.metadata import Metadata, add_metadata, read_metadata
from mnascli.tflite.quantize import quantize
from mnascli.training.checkpoint import load_checkpoint, save_checkpoint
from mnascli.training.loop import train
from mnascli.training.recipe import Recipe

NET = Architecture.parse("stem_s1_c8,ds_r1_k3_s2_c8,ir_r2_k3_s2_e2_c8_se0.25,head_c16,net_i12_ch1_o3")
OWN = Options(writer="own", quantize="none", calibration_images=60)


def bars(images: int, seed: int) -> Split:
    """A bright bar at one of three places."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % 3
    pixels = rng.integers(0, 120, (images, 12, 12, 1))
    for index, label in enumerate(labels):
        pixels[index, 4 * label : 4 * label + 3] += 120
    return Split(pixels.astype(np.uint8), labels.astype(np.int64))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    parts = [bars(count, seed) for seed, count in enumerate((96, 48, 60, 48))]
    return from_arrays("bars", ["top", "middle", "bottom"], parts)


@pytest.fixture(scope="module")
def checkpoint(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = Recipe(epochs=6, batch_size=16, optimizer="adamw", learning_rate=0.16, batch_norm_momentum=0.1)
    network = nets.build(NET, seed=0)
    trained = train(network, dataset, recipe, seed=0, threads=1)
    path = tmp_path_factory.mktemp("trained") / "model.safetensors"
    return save_checkpoint(path, network, dataset, recipe, accuracy=trained.accuracy)


@pytest.mark.parametrize(
    ("kind", "difference", "in_float"),
    [("none", 1e-4, "all"), ("fp16", 0.1, "all"), ("dynamic", 1, "all"), ("int8", 2, 0)],
)
def test_each_kind_agrees_with_the_network_and_says_what_it_computes_in(
    checkpoint: Path, dataset: Dataset, tmp_path: Path, kind: Any, difference: float, in_float: object
) -> None:
    file = tmp_path / "model.tflite"
    result = export(checkpoint, file, dataset, [], replace(OWN, quantize=kind))
    assert result["max_abs_difference"] < difference
    assert result["network_top1"] > 0.9 and result["network_top1"] - result["parity_top1"] <= 0.02
    assert result["parity_images"] == 48 and result["test_images"] == 60
    expected = result["operator_count"] if in_float == "all" else in_float
    assert result["float_operators"] == expected
    weights = {row["weights"] for row in result["operators"] if row["name"] == "CONV_2D"}
    assert weights == {"INT8" if kind in ("int8", "dynamic") else "FLOAT32"}
    about = read_metadata(file)
    assert about is not None and about.labels == dataset.classes


def test_litert_torch_makes_the_same(checkpoint: Path, dataset: Dataset, tmp_path: Path) -> None:
    own = export(checkpoint, tmp_path / "own.tflite", dataset, [], OWN)
    standard = export(checkpoint, tmp_path / "standard.tflite", dataset, [], replace(OWN, writer="litert-torch"))
    assert standard["operators"] == own["operators"]
    assert standard["max_abs_difference"] < 1e-4
    assert standard["differing_predictions"] == 0


def test_the_card_stands_beside_the_file(checkpoint: Path, dataset: Dataset, tmp_path: Path) -> None:
    result = export(checkpoint, tmp_path / "m.tflite", dataset, [], replace(OWN, licence="CC-BY-4.0"))
    assert result["model_card"] == ["m.card.md", "m.card.json"]
    card = json.loads((tmp_path / "m.card.json").read_text())
    assert card["data"] == {"name": "bars", "hash": dataset.hash}
    assert card["architecture"] == str(NET)
    assert card["licence"] == "CC-BY-4.0"
    low, high = card["export"]["test_top1_interval"]
    assert low <= card["export"]["test_top1"] <= high
    text = (tmp_path / "m.card.md").read_text()
    for said in (card["sha256"], dataset.hash, str(NET), "CC-BY-4.0", f"{card['export']['test_top1']:.4f}"):
        assert said in text


def assert_refused(checkpoint: Path, dataset: Dataset, file: Path, options: Options, says: str) -> None:
    """One line, what stood there stands there still, and nothing stands beside it."""
    file.write_bytes(b"what was there")
    with pytest.raises(MnasError, match=says) as caught:
        export(checkpoint, file, dataset, [], options)
    assert "\n" not in str(caught.value)
    assert file.read_bytes() == b"what was there"
    assert list(file.parent.iterdir()) == [file]


def test_a_loss_above_the_limit_keeps_no_file(
    checkpoint: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quantized with ranges that are not those of the pictures."""
    monkeypatch.setattr(exporting, "quantize", lambda model, path, images: quantize(model, path))
    options, says = replace(OWN, quantize="int8"), r"int8 loses 0\.\d+ of top-1 on 48 validation"
    assert_refused(checkpoint, dataset, tmp_path / "model.tflite", options, says)


def test_a_file_that_answers_otherwise_is_not_kept(
    checkpoint: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the converter had made a mistake."""
    monkeypatch.setattr(exporting, "convert", lambda _, architecture, path: tflite.write(architecture, path))
    options = replace(OWN, writer="litert-torch")
    assert_refused(checkpoint, dataset, tmp_path / "model.tflite", options, "differs from the trained network by up to")


def test_too_little_to_calibrate_on(checkpoint: Path, dataset: Dataset, tmp_path: Path) -> None:
    few = replace(dataset, train=Split(dataset.train.images[:20], dataset.train.labels[:20]))
    options = replace(OWN, quantize="int8")
    says = r"bars: 20 training images, 60 wanted: int8 needs 32 or more"
    assert_refused(checkpoint, few, tmp_path / "model.tflite", options, says)


def test_a_place_that_cannot_be_written(checkpoint: Path, dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(MnasError, match=r"nowhere/model\.tflite: cannot be written: No such file"):
        export(checkpoint, tmp_path / "nowhere" / "model.tflite", dataset, [], OWN)
    with pytest.raises(MnasError, match=r"is a folder"):
        export(checkpoint, tmp_path, dataset, [], OWN)
    assert list(tmp_path.iterdir()) == []


def test_a_file_for_other_pictures(checkpoint: Path, dataset: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "model.tflite"
    export(checkpoint, file, dataset, [], OWN)
    with pytest.raises(UsageError, match=r"has 3 classes, fashion-mnist-10k has 10"):
        data_for_file(file, "fashion-mnist-10k")
    with pytest.raises(UsageError, match=r"does not say which pictures it was trained on: give them with --data"):
        data_for_file(file, None)
    (tmp_path / "text.tflite").write_text("no")
    with pytest.raises(UsageError, match=r"text\.tflite: not a \.tflite file"):
        data_for_file(tmp_path / "text.tflite", "fashion-mnist-10k")


def test_a_file_that_does_not_say_its_normalisation(tmp_path: Path) -> None:
    """What is assumed is said; what is given is used, for one channel or for all."""
    colours = NET.on(classes=10)
    bare = tflite.write(replace(colours, size=28, channels=3), tmp_path / "bare.tflite")
    said: list[str] = []

    def opened(file: Path, *normalisation: tuple[float, ...]) -> Dataset:
        reading = FileReading(normalisation=(normalisation[0], normalisation[1]) if normalisation else None)
        return data_for_file(file, "fashion-mnist-10k", reading, said.append).dataset

    assumed = opened(bare)
    (line,) = said
    assert f"(pixel / 255 - [{assumed.mean[0]:.3f}, " in line and "--mean and --std" in line
    given = opened(bare, (0.5,), (0.1, 0.2, 0.3))
    assert (given.mean, given.std) == ((0.5, 0.5, 0.5), (0.1, 0.2, 0.3)) and len(said) == 1
    for wrong in (((0.5, 0.5), (1.0,)), ((0.5,), (0.0,))):
        with pytest.raises(UsageError, match="expected one number or 3"):
            opened(bare, *wrong)
    with pytest.raises(UsageError, match="must be of pixels from 0 to 1: divide both by 255"):
        opened(bare, (127.5,), (127.5,))
    about = Metadata("", "", assumed.classes, (0.1,) * 3, (0.2,) * 3)
    described = add_metadata(bare, tmp_path / "described.tflite", about)
    assert opened(described).mean == about.mean and len(said) == 1
    with pytest.raises(UsageError, match="gives its own normalisation"):
        opened(described, (0.5,), (0.5,))


@pytest.mark.parametrize("kind", ["none", "int8"])
def test_an_app_that_does_what_the_card_says_to_photographs_gets_the_same(tmp_path: Path, kind: Any) -> None:
    """JPEGs far larger than the input, neither square nor upright, by Pillow alone and the card's numbers."""
    photographs(tmp_path / "photographs")
    colours = replace(NET, channels=3)
    recipe = Recipe(epochs=2, batch_size=16, optimizer="adamw", learning_rate=0.1, evaluation_crop=0.75)
    pictures = load(str(tmp_path / "photographs"), size=12, channels=3, crop=0.75)
    network = nets.build(colours, seed=0)
    train(network, pictures, recipe, seed=0, threads=1)
    trained = save_checkpoint(tmp_path / "model.safetensors", network, pictures, recipe, accuracy=0)
    file = tmp_path / "m.tflite"
    result = export(trained, file, pictures, [], replace(OWN, quantize=kind, max_loss=1))
    card = json.loads((tmp_path / "m.card.json").read_text())["input"]
    about, text = read_metadata(file), (tmp_path / "m.card.md").read_text()
    assert about is not None
    for step in ("decoding", "crop", "channels", "resizing", "normalisation"):
        assert card[step] in text and card[step] in about.picture
    assert about.picture.encode() in file.read_bytes()[file.read_bytes().index(b"M001") :]  # where Google's tools look
    assert card["crop"] == "the centre square of 0.75 times the shorter side; not squashed"
    seen, right = [], 0
    app = Interpreter(model_path=str(file))
    app.allocate_tensors()
    (taken,), (given,) = app.get_input_details(), app.get_output_details()
    scale, zero = taken["quantization"]
    places = sorted((tmp_path / "photographs" / "test").rglob("*.jpg"))
    for place in places:
        upright = ImageOps.exif_transpose(Image.open(place))
        side = card["evaluation_crop"] * min(upright.size)
        box = ((upright.width - side) / 2, (upright.height - side) / 2)
        box = (*box, box[0] + side, box[1] + side)
        pixels = np.asarray(upright.convert("RGB").resize((12, 12), Image.Resampling.BILINEAR, box), np.float32)
        values = (pixels / 255 - np.array(card["mean"])) / np.array(card["std"])
        seen.append(pixels)
        values = np.round(values / scale) + zero if scale else values
        app.set_tensor(taken["index"], np.clip(values, -128, 127).astype(taken["dtype"])[np.newaxis])
        app.invoke()
        right += pictures.classes[int(app.get_tensor(given["index"]).argmax())] == place.parent.name
    np.testing.assert_array_equal(seen, pictures.test.images)
    assert right / len(places) == result["test_top1"]


def photographs(root: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 60), ("test", 30)):
        for index in range(count):
            pixels = rng.integers(0, 160, (96, 160, 3))
            pixels[32 * (index % 3) : 32 * (index % 3) + 32] += 90
            exif = Image.Exif()
            exif[0x0112] = (1, 3, 6, 8)[index % 4]
            place = root / part / ("top", "middle", "bottom")[index % 3] / f"{index:03}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(place, exif=exif)


def test_the_card_tells_of_random_crops(checkpoint: Path) -> None:
    about = load_checkpoint(checkpoint)[1]
    assert model_card.pictures(about)["in_training"] == "the same, before it is augmented"
    cropped = about.model_copy(update={"recipe": Recipe(random_crop=0.25)})
    assert "random crops of 0.25" in model_card.pictures(cropped)["in_training"]
    assert "1/8" in model_card.pictures(cropped)["in_training"]


def test_a_file_that_knows_its_data(tmp_path: Path) -> None:
    """By a name that means the same everywhere, or by the run that it was exported from."""
    ten = tflite.write(replace(NET, size=28, classes=10), tmp_path / "ten.tflite")
    shipped = load("fashion-mnist-10k", size=28)
    about = Metadata("", "", shipped.classes, shipped.mean, shipped.std)
    named = add_metadata(ten, tmp_path / "named.tflite", replace(about, data="fashion-mnist-10k"))
    assert data_for_file(named, None).dataset.hash == shipped.hash
    (tmp_path / "run" / "export").mkdir(parents=True)
    of_run = add_metadata(ten, tmp_path / "run" / "export" / "run.tflite", about)
    (tmp_path / "run" / "config.yaml").write_text(dump(resolve(None, None, {"data": "fashion-mnist-10k"})))
    assert data_for_file(of_run, None).dataset.hash == shipped.hash


def test_older_checkpoints_know_their_data_by_name_or_run(checkpoint: Path, dataset: Dataset, tmp_path: Path) -> None:
    network, about = load_checkpoint(checkpoint)  # from memory: no source
    model = Model("net", network.architecture, checkpoint)
    with pytest.raises(UsageError, match=r"does not say where its data \(bars\) is"):
        fitting_data(model, None, network.architecture, about)
    shipped = load("fashion-mnist-10k", size=28)
    about = about.model_copy(update={"classes": shipped.classes, "data": shipped.name, "data_hash": shipped.hash})
    ten = replace(network.architecture, size=28, classes=10)
    assert fitting_data(model, None, ten, about).hash == shipped.hash
    (tmp_path / "config.yaml").write_text(dump(resolve(None, None, {"data": "fashion-mnist-10k"})))
    of_run = replace(model, run=tmp_path)
    assert fitting_data(of_run, None, ten, about.model_copy(update={"data": "?"})).hash == shipped.hash


def test_calibration_images_come_from_all_classes(dataset: Dataset) -> None:
    _, labels = exporting.spread(Split(dataset.train.images, np.sort(dataset.train.labels)), 32)
    assert set(np.bincount(labels)) <= {10, 11}


def field(data: bytes, table: int, number: int) -> int:
    """Where a field of a flatbuffer's table stands: the format's own rules and nothing of mnas."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    (offset,) = struct.unpack_from("<H", data, vtable + 4 + 2 * number)
    assert offset
    return table + int(offset)


def follow(data: bytes, where: int, *steps: tuple[str, int]) -> int:
    """From an offset to a table through its fields: a table, the first of a vector of tables, or a vector."""
    (offset,) = struct.unpack_from("<I", data, where)
    where += offset
    for kind, number in steps:
        where = field(data, where, number)
        where += struct.unpack_from("<I", data, where)[0]
        if kind == "first":
            where += 4
            where += struct.unpack_from("<I", data, where)[0]
    return where


def test_an_app_that_follows_the_file_sees_what_the_network_sees(
    checkpoint: Path, dataset: Dataset, tmp_path: Path
) -> None:
    """With the numbers of Google's metadata_schema.fbs and no reader of ours: (pixel - mean) / std, labels, top-1."""
    file = tmp_path / "model.tflite"
    result = export(checkpoint, file, dataset, [], OWN)
    content = file.read_bytes()
    data = content[content.index(b"M001") - 4 :]
    image = [("first", 3), ("first", 2)]  # ModelMetadata.subgraph_metadata, .input_tensor_metadata
    normalisation = [*image, ("first", 4), ("table", 1)]  # TensorMetadata.process_units, ProcessUnit.options
    mean, std = (
        struct.unpack_from("<f", data, follow(data, 0, *normalisation, ("vector", number)) + 4)[0] for number in (0, 1)
    )
    with zipfile.ZipFile(file) as attached:
        labels = attached.read("labels.txt").decode().split("\n")
    app = Interpreter(model_path=str(file))
    app.allocate_tensors()
    (taken,), (given,) = app.get_input_details(), app.get_output_details()
    right = 0
    for pixels, label in zip(dataset.test.images, dataset.test.labels, strict=True):
        app.set_tensor(taken["index"], ((pixels[np.newaxis].astype(np.float32) - mean) / std).astype(np.float32))
        app.invoke()
        right += labels[int(app.get_tensor(given["index"]).argmax())] == dataset.classes[label]
    assert right / len(dataset.test.labels) == result["test_top1"] > 0.9
