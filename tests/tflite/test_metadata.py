"""What stands in a file beside its numbers: written, read back, and in the way of nothing."""

import zipfile
from dataclasses import replace
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from foreign import Foreign
from hypothesis import given, settings
from hypothesis import strategies as st

from mnascli.errors import UsageError
from mnascli.space import Architecture
from mnascli.tflite import write
from mnascli.tflite.interpreter import predict
from mnascli.tflite.metadata import NAME, Metadata, add_metadata, read_metadata
from mnascli.tflite.quantize import KINDS, quantize
from mnascli.tflite.reading import read_file

TINY = Architecture.parse("stem_c8,ir_r1_k3_s1_e3_c8_se0.25,head_c16,net_i8_o3")
ABOUT = Metadata("clothes", "a test", ("shirt", "Ärmel", "a b"), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "MIT", 0.875)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(TINY, tmp_path / "model.tflite")


@pytest.mark.parametrize("kind", ["float", *KINDS])
def test_what_was_written_is_read_and_the_file_answers_as_before(model: Path, tmp_path: Path, kind: str) -> None:
    images = np.random.default_rng(0).standard_normal((4, 8, 8, 3), np.float32)
    if kind != "float":
        quantize(model, model, images, kind)  # type: ignore[arg-type]
    expected = predict(model, images)
    path = add_metadata(model, tmp_path / "described.tflite", ABOUT)
    about = read_metadata(path)
    assert about is not None
    np.testing.assert_allclose([*about.mean, *about.std], [*ABOUT.mean, *ABOUT.std], rtol=1e-6)
    assert (about.name, about.description, about.labels) == (ABOUT.name, ABOUT.description, ABOUT.labels)
    assert (about.licence, about.crop) == ("MIT", 0.875)
    np.testing.assert_array_equal(predict(path, images), expected)
    (signature,) = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes())).signatureDefs
    assert [item.name for item in (*signature.inputs, *signature.outputs)] == [b"image", b"logits"]


def test_labels_are_a_text_file_that_any_unzip_finds(model: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(add_metadata(model, tmp_path / "described.tflite", ABOUT)) as attached:
        assert attached.read("labels.txt").decode().splitlines() == list(ABOUT.labels)


def test_constants_stay_aligned(model: Path, tmp_path: Path) -> None:
    """The runtime maps the file: kernels may read constants where they lie."""
    content = add_metadata(model, tmp_path / "described.tflite", ABOUT).read_bytes()
    root = schema.Model.GetRootAs(content)
    for index in range(root.BuffersLength()):
        data = root.Buffers(index).DataAsNumpy()
        if not isinstance(data, int) and len(data):
            address = data.__array_interface__["data"][0]
            start = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
            assert (address - start) % 16 == 0


def test_describing_twice_leaves_one_description(model: Path, tmp_path: Path) -> None:
    once = add_metadata(model, tmp_path / "once.tflite", ABOUT)
    twice = add_metadata(once, tmp_path / "twice.tflite", ABOUT)
    assert [one.name for one in read_file(twice).metadata].count(NAME) == 1
    assert add_metadata(model, tmp_path / "again.tflite", ABOUT).read_bytes() == once.read_bytes()


def test_a_file_without_a_description(model: Path) -> None:
    assert read_metadata(model) is None


def test_a_foreign_description_may_leave_out_what_it_likes(model: Path) -> None:
    """A name alone, and then one number of the normalisation for all channels: both are met in published files."""

    def described(mean: float | None) -> Path:
        builder = flatbuffers.Builder(256)
        name, subgraphs = builder.CreateString("foreign"), 0
        if mean is not None:
            vectors = []
            for value in (128.0, mean):
                builder.StartVector(4, 1, 4)
                builder.PrependFloat32(value)
                vectors.append(builder.EndVector())
            options = table(builder, {0: vectors[1], 1: vectors[0]})
            unit = table(builder, {1: options}, kind=1)
            image = table(builder, {4: tables(builder, unit)})
            subgraphs = tables(builder, table(builder, {2: tables(builder, image)}))
        builder.Finish(table(builder, {0: name, 3: subgraphs} if subgraphs else {0: name}), file_identifier=b"M001")
        file = Foreign(model)
        file.model.metadata = [schema.MetadataT(name=NAME.decode(), buffer=len(file.model.buffers))]
        file.model.buffers.append(schema.BufferT(data=np.frombuffer(bytes(builder.Output()), np.uint8)))
        return file.write()

    empty = Metadata("foreign", "", (), (), ())
    assert read_metadata(described(None)) == empty
    assert read_metadata(described(127.5)) == replace(empty, mean=(0.5,), std=(128 / 255,))


def table(builder: flatbuffers.Builder, children: dict[int, int], kind: int = 0) -> int:
    """A table of offsets; `kind` is field 0, where that is the type of a union."""
    builder.StartObject(8)
    if kind:
        builder.PrependUint8Slot(0, kind, 0)
    for number, offset in children.items():
        builder.PrependUOffsetTRelativeSlot(number, offset, 0)
    return int(builder.EndObject())


def tables(builder: flatbuffers.Builder, one: int) -> int:
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(one)
    return int(builder.EndVector())


@settings(max_examples=30)
@given(st.data())
def test_damage_is_told_in_one_line(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("damage")
    path = add_metadata(write(TINY, folder / "model.tflite"), folder / "described.tflite", ABOUT)
    content = bytearray(path.read_bytes())
    where = content.index(b"M001") + data.draw(st.integers(-4, 300))
    content[where] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        read_metadata(path)
    except UsageError as error:
        assert "\n" not in str(error)
