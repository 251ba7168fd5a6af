"""What a user's shards and Hugging Face data sets can have wrong: one line that says what, and where."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from mnascli.data import DataError, load
from mnascli.errors import MnasError, UsageError


def picture(value):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(value).integers(0, 256, (9, 9, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def shard(path, labels, kind="cls", seed=0):
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(path)) as writer:
        for number, label in enumerate(labels):
            writer.write({"__key__": f"{number:04}", "png": picture(seed + number), kind: str(label).encode()})


def read(spec, **options):
    return load(spec, size=8, channels=3, report=lambda line: None, **options)


def told(spec, kind=DataError, **options):
    with pytest.raises(MnasError) as caught:
        read(spec, **options)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_shards_without_names_are_split_by_content(tmp_path):
    shard(tmp_path / "some-00.tar", [0, 1] * 20)
    dataset = read(f"wds:{tmp_path}/some-{{00..00}}.tar")
    assert (dataset.name, dataset.classes) == ("some", ("0", "1"))
    assert len(dataset.train.labels) + len(dataset.validation.labels) + len(dataset.test.labels) < 40


def test_class_names_in_the_shards(tmp_path):
    shard(tmp_path / "a.tar", ["dog", "cat"] * 20)
    assert read(f"wds:{tmp_path}").classes == ("cat", "dog")


def test_shards_with_something_wrong(tmp_path):
    place = f"wds:{tmp_path}"
    (tmp_path / "train.tar").write_bytes(b"no tar at all" * 100)
    assert "train.tar: not an uncompressed tar file, or cut off" in told(place)
    shard(tmp_path / "train.tar", [0, 1] * 20, kind="txt")
    assert "0000 has no .cls or .json" in told(place)
    shard(tmp_path / "train.tar", [json.dumps([1]), json.dumps([2])], kind="json")
    assert "0000.json: not a label" in told(place)
    shard(tmp_path / "train.tar", [0] * 20)
    assert "1 class only" in told(place)
    shard(tmp_path / "train.tar", [0, 2] * 20)
    assert "no picture of class 1 in its train part" in told(place)
    shard(tmp_path / "train.tar", [0, 1] * 20)
    shard(tmp_path / "test.tar", [0, 1, 2], seed=100)
    assert "no picture of class 2 in its train part" in told(place)
    shard(tmp_path / "test.tar", ["cat", "dog"], seed=100)
    assert "no picture of class 0 in its test part" in told(place)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert read(place).classes == ("cat", "dog")
    (tmp_path / "classes.txt").write_text("crane\ncrane\n")
    shard(tmp_path / "test.tar", [0, 1], seed=100)
    assert read(place).classes == ("crane (0)", "crane (1)")
    (tmp_path / "classes.txt").write_bytes(b"caf\xe9\ndog\n")
    assert "classes.txt: cannot be read as text" in told(place)
    (tmp_path / "classes.txt").write_text("cat\nd\x1bog\n")
    assert "class d\\x1bog: a control character" in told(place)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    shard(tmp_path / "test.tar", [0, 5], seed=100)
    assert "a picture of class 5, which classes.txt does not have" in told(place)
    (tmp_path / "train.tar").unlink()
    shard(tmp_path / "test.tar", [0, 1] * 20, seed=100)
    assert "no train part, only test" in told(place)
    assert len(read(place, test_only=True).test.labels) == 40
    (tmp_path / "test.tar").unlink()
    assert "no shard" in told(place, UsageError)


def test_a_shard_that_is_cut_off(tmp_path):
    shard(tmp_path / "train.tar", [0, 1] * 20)
    path = tmp_path / "train.tar"
    path.write_bytes(path.read_bytes()[:20_700])
    assert "cut off" in told(f"wds:{tmp_path}") or "different images" in told(f"wds:{tmp_path}")


def test_a_broken_picture_in_a_shard_is_named(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(tmp_path / "train.tar")) as writer:
        for number in range(40):
            data = b"broken" if number == 7 else picture(number)
            writer.write({"__key__": f"{number:04}", "png": data, "cls": number % 2})
    assert "train.tar, at byte" in told(f"wds:{tmp_path}", on_broken="stop")
    assert len(read(f"wds:{tmp_path}").skipped) == 1


def saved(path, columns, features=None, parts=("train",)):
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict(columns, features=features(datasets) if features else None)
    datasets.DatasetDict(dict.fromkeys(parts, table)).save_to_disk(str(path))
    return f"hf:{path}"


def labelled(names):
    return lambda datasets: datasets.Features({"img": datasets.Image(), "kind": datasets.ClassLabel(names=names)})


def pictures(count):
    return [{"bytes": picture(number), "path": None} for number in range(count)]


def test_saved_data_sets_with_something_wrong(tmp_path):
    assert "no pictures" in told(saved(tmp_path / "a", {"text": ["x", "y"]}))
    no_classes = saved(
        tmp_path / "b", {"image": pictures(4)}, lambda datasets: datasets.Features({"image": datasets.Image()})
    )
    assert "no classes" in told(no_classes)
    columns = {"img": pictures(40), "kind": [0, 1] * 20}
    assert "no split called train or test: available: rest" in told(
        saved(tmp_path / "c", columns, labelled(["cat", "dog"]), parts=("rest",))
    )
    assert "no picture of class cow" in told(saved(tmp_path / "d", columns, labelled(["cat", "dog", "cow"])))
    good = read(saved(tmp_path / "e", columns, labelled(["cat", "dog"])))
    assert good.classes == ("cat", "dog")
    unlabelled = {"img": pictures(40), "kind": [0, -1] * 20}
    assert "pictures without a label" in told(saved(tmp_path / "f", unlabelled, labelled(["cat", "dog"])))


def test_a_file_of_names_that_lacks_a_folder(tmp_path):
    for name in ("n01", "n02"):
        (tmp_path / name).mkdir()
        for number in range(8):
            (tmp_path / name / f"{number}.png").write_bytes(picture(number + 100 * int(name[1:])))
    (tmp_path / "classes.txt").write_text("n01 crane\nn02 crane\n")
    assert read(str(tmp_path)).classes == ("crane (n01)", "crane (n02)")
    (tmp_path / "classes.txt").write_text("n01 tench\n")
    assert "classes.txt: no line for the folder n02" in told(str(tmp_path))


def test_an_extra_that_is_missing_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "webdataset", None)
    assert "pip install 'mnas[webdataset]'" in told(f"wds:{tmp_path}", UsageError)
