"""The conformance tests of each kind of data set."""

import json

import pytest
from data_conformance import CLASSES, DataConformance, make_pictures

PICTURES = make_pictures()


def kind_of(data):
    return "png" if data.startswith(b"\x89PNG") else "jpg"


def write_folder(root):
    for part, pictures in PICTURES.items():
        for number, (data, label) in enumerate(pictures):
            file = root / part / CLASSES[label] / f"{number:03}.{kind_of(data)}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)


class TestFolder(DataConformance):
    @pytest.fixture
    def spec(self, tmp_path):
        write_folder(tmp_path)
        return str(tmp_path)


class TestSynsetFolder(DataConformance):
    """ImageNet's layout: folders of synsets, their names in a file."""

    @pytest.fixture
    def spec(self, tmp_path):
        write_folder(tmp_path)
        for part in PICTURES:
            for number, name in enumerate(CLASSES):
                (tmp_path / part / name).rename(tmp_path / part / f"n0{number}")
        (tmp_path / "LOC_synset_mapping.txt").write_text("n00 cat\nn01\tdog\nn99 cow, cattle\n")
        return str(tmp_path)


class TestShards(DataConformance):
    @pytest.fixture
    def spec(self, tmp_path):
        webdataset = pytest.importorskip("webdataset")
        for part, pictures in PICTURES.items():
            name = {"validation": "val"}.get(part, part)
            with webdataset.ShardWriter(str(tmp_path / f"pets-{name}-%04d.tar"), maxcount=5, verbose=0) as writer:
                for number, (data, label) in enumerate(pictures):
                    writer.write({"__key__": f"{part}{number:05}", kind_of(data): data, "cls": label})
        (tmp_path / "classes.txt").write_text("cat\ndog\n")
        return f"wds:{tmp_path}/pets-{{train,val,test}}-*.tar"


class TestShardsWithJson(DataConformance):
    @pytest.fixture
    def spec(self, tmp_path):
        webdataset = pytest.importorskip("webdataset")
        for part, pictures in PICTURES.items():
            with webdataset.TarWriter(str(tmp_path / f"{part}.tar")) as writer:
                for number, (data, label) in enumerate(pictures):
                    about = json.dumps({"label": CLASSES[label]}).encode()
                    writer.write({"__key__": f"a/{number:05}", f"small.{kind_of(data)}": data, "json": about})
        return f"wds:{tmp_path}"


class TestHuggingFace(DataConformance):
    @pytest.fixture
    def spec(self, tmp_path):
        datasets = pytest.importorskip("datasets")
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))})
        tables = {
            part: datasets.Dataset.from_dict(
                {
                    "image": [{"bytes": data, "path": None} for data, _ in pictures],
                    "label": [one for _, one in pictures],
                },
                features=features,
            )
            for part, pictures in PICTURES.items()
        }
        datasets.DatasetDict(tables).save_to_disk(str(tmp_path / "saved"))
        return f"hf:{tmp_path / 'saved'}"
