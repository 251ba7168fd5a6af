"""What a .tflite says about itself: labels, normalisation, name, licence, as Android's tools read it (TFLite Metadata).

The description is a separate flatbuffer ("M001") in a buffer of the model that is named TFLITE_METADATA; the labels
are a text file in a zip archive appended to the model. What the schema has no field for is in a buffer of our own.
Field numbers are those of Google's metadata_schema.fbs, for which no package installs everywhere.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import encode, number_types
from flatbuffers.table import Table

from mnascli.errors import UsageError
from mnascli.tflite.files import replacing
from mnascli.tflite.graph import Buffer, pack
from mnascli.tflite.reading import read_file
from mnascli.tflite.shapes import leaves_size_open

NAME = b"TFLITE_METADATA"
OWN_NAME = b"MNAS"
IDENTIFIER = b"M001"
LABELS_FILE = "labels.txt"
MIN_PARSER_VERSION = "1.0.0"
TENSOR_AXIS_LABELS, IMAGE_PROPERTIES, NORMALIZATION = 2, 2, 1  # of the schema's enums and unions
RGB, GREYSCALE = 1, 2
# (table, field number): only the fields that are written and read here
MODEL = {"name": 0, "description": 1, "version": 2, "subgraphs": 3, "author": 4, "license": 5, "parser": 7}
SUBGRAPH = {"name": 0, "inputs": 2, "outputs": 3}
TENSOR = {"name": 0, "description": 1, "content": 3, "process_units": 4, "files": 6}
FILE = {"name": 0, "description": 1, "type": 2}


@dataclass(frozen=True)
class Metadata:
    """`labels` are the classes in the order of the logits; `mean` and `std` are per channel, of pixels from 0 to 1.

    `crop` is the share of the centre square's side that the network was trained to look at. `picture` says in words how
    a picture becomes the input. `size` is read from a file, in pixels, and not written: the file has it. `data` is what
    opens its pictures again, if that is a name and not a folder of the machine that made the file.

    What a foreign file does not say is empty.
    """

    name: str
    description: str
    labels: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    licence: str = ""
    crop: float = 1.0
    picture: str = ""
    size: int | None = None
    data: str = ""


def add_metadata(model: Path, path: Path, about: Metadata) -> Path:
    """Write `model` with its description to `path`; what it computes stays the same.

    Raises UsageError if `model` is not a .tflite, MnasError if `path` cannot be written.
    """
    file = read_file(model)
    graph = file.subgraphs[0]
    size = int(graph.tensors[graph.inputs[0]].shape[1])
    file.buffers = [Buffer(b"" if one.data is None else bytes(one.data)) for one in file.buffers]
    file.metadata = [one for one in file.metadata or [] if one.name not in (NAME, OWN_NAME)]
    own = json.dumps({"evaluation_crop": about.crop, "picture": about.picture, "data": about.data}).encode()
    for name, content in ((NAME, _described(about, size)), (OWN_NAME, own)):
        file.metadata.append(schema.MetadataT(name=name.decode(), buffer=len(file.buffers)))
        file.buffers.append(Buffer(content))
    archive = io.BytesIO()
    archive.write(pack(file))
    with zipfile.ZipFile(archive, "a") as attached:
        # A fixed time: the same model gives the same bytes.
        attached.writestr(zipfile.ZipInfo(LABELS_FILE), "\n".join(about.labels))
    with replacing(path) as temporary:
        temporary.write_bytes(archive.getvalue())
    return path


def read_metadata(path: Path) -> Metadata | None:
    """What the file says about itself; None if it says nothing. Raises UsageError for one that cannot be read.

    Files from elsewhere may omit anything; a single number for the normalisation applies to all channels.
    """
    file = read_file(path)
    buffers = {one.name: one.buffer for one in file.metadata or []}
    if NAME not in buffers:
        return None
    try:
        content = bytes(file.buffers[buffers[NAME]].data)
        own = json.loads(bytes(file.buffers[buffers[OWN_NAME]].data)) if OWN_NAME in buffers else {}
        model = Table(content, encode.Get(number_types.UOffsetTFlags.packer_type, content, 0))
        subgraph = _first(_tables(model, MODEL["subgraphs"]))
        image = _first(_tables(subgraph, SUBGRAPH["inputs"]))
        mean, std = _normalisation(image)
        return Metadata(
            name=_text(model, MODEL["name"]),
            description=_text(model, MODEL["description"]),
            labels=_labels(path, _first(_tables(subgraph, SUBGRAPH["outputs"]))),
            mean=tuple(value / 255 for value in mean),
            std=tuple(value / 255 for value in std),
            licence=_text(model, MODEL["license"]),
            crop=float(own.get("evaluation_crop", 1.0)),
            picture=str(own.get("picture", "")),
            size=_default_size(image),
            data=str(own.get("data", "")),
        )
    except Exception as error:  # flatbuffers and zipfile raise many kinds for damaged bytes
        raise UsageError(f"{path}: its metadata are damaged, or not those of an image classifier") from error


def known_size(path: Path, size: int | None = None) -> int | None:
    """`size`, else what the metadata say if the file itself leaves it open. Raises UsageError as `read_metadata`."""
    if size is not None or not leaves_size_open(path):
        return size
    about = read_metadata(path)
    return about.size if about else None


def _normalisation(image: Table | None) -> tuple[list[float], list[float]]:
    """(mean, deviation) of pixels from 0 to 255; empty if not given."""
    for unit in _tables(image, TENSOR["process_units"]):
        options = _child(unit, 1)
        if _number(unit, 0, number_types.Uint8Flags) == NORMALIZATION and options is not None:
            return _floats(options, 0), _floats(options, 1)
    return [], []


def _labels(path: Path, logits: Table | None) -> tuple[str, ...]:
    files = [one for one in _tables(logits, TENSOR["files"]) if _text(one, FILE["name"]).endswith(".txt")]
    if not files:
        return ()
    with zipfile.ZipFile(path) as attached:
        return tuple(attached.read(_text(files[0], FILE["name"])).decode().splitlines())


def _default_size(image: Table | None) -> int | None:
    """The side of the square that the input takes by default; None if it is not given, or is not a square."""
    content = _child(image, TENSOR["content"])
    properties = _child(content, 1)
    if _number(content, 0, number_types.Uint8Flags) != IMAGE_PROPERTIES:
        return None
    size = _child(properties, 1)
    width, height = (_number(size, number, number_types.Uint32Flags) for number in (0, 1))
    return width if width == height and width > 0 else None


def _described(about: Metadata, size: int) -> bytes:
    """The metadata of an image classifier with one square input of `size` pixels."""
    builder = flatbuffers.Builder(4096)

    def struct(fields: Mapping[int, tuple[str, Any]]) -> int:
        """A table: field number -> (kind, value), kind being a builder's method for its slot."""
        builder.StartObject(max(fields) + 1)
        for number, (kind, value) in fields.items():
            getattr(builder, f"Prepend{kind}Slot")(number, value, 0)
        return int(builder.EndObject())

    def vector(values: Sequence[Any], width: int, prepend: Callable[[Any], None]) -> int:
        builder.StartVector(width, len(values), width)
        for value in reversed(values):
            prepend(value)
        return int(builder.EndVector())

    def text(value: str) -> tuple[str, int]:
        return "UOffsetTRelative", builder.CreateString(value)

    def tables(*offsets: int) -> tuple[str, int]:
        return "UOffsetTRelative", vector(offsets, 4, builder.PrependUOffsetTRelative)

    def floats(values: Sequence[float]) -> tuple[str, int]:
        return "UOffsetTRelative", vector(values, 4, builder.PrependFloat32)

    def child(offset: int) -> tuple[str, int]:
        return "UOffsetTRelative", offset

    image_size = struct({0: ("Uint32", size), 1: ("Uint32", size)})
    image = struct({0: ("Int8", RGB if len(about.mean) == 3 else GREYSCALE), 1: child(image_size)})
    content = struct({0: ("Uint8", IMAGE_PROPERTIES), 1: child(image)})
    # The schema's numbers are of pixels from 0 to 255: (pixel - mean) / std.
    options = {0: floats([255 * value for value in about.mean]), 1: floats([255 * value for value in about.std])}
    normalise = struct({0: ("Uint8", NORMALIZATION), 1: child(struct(options))})
    labels = {
        FILE["name"]: text(LABELS_FILE),
        FILE["description"]: text("The classes, in the order of the logits."),
        FILE["type"]: ("Int8", TENSOR_AXIS_LABELS),
    }
    input_tensor = {
        TENSOR["name"]: text("image"),
        TENSOR["description"]: text(about.picture or "A picture, normalised; batch, height, width, channels."),
        TENSOR["content"]: child(content),
        TENSOR["process_units"]: tables(normalise),
    }
    output_tensor = {
        TENSOR["name"]: text("logits"),
        TENSOR["description"]: text("A logit a class; softmax makes probabilities of them."),
        TENSOR["files"]: tables(struct(labels)),
    }
    subgraph = {
        SUBGRAPH["name"]: text("image classifier"),
        SUBGRAPH["inputs"]: tables(struct(input_tensor)),
        SUBGRAPH["outputs"]: tables(struct(output_tensor)),
    }
    model = {
        MODEL["name"]: text(about.name),
        MODEL["description"]: text(about.description),
        MODEL["version"]: text("1"),
        MODEL["subgraphs"]: tables(struct(subgraph)),
        MODEL["author"]: text("mnas"),
        MODEL["license"]: text(about.licence),
        MODEL["parser"]: text(MIN_PARSER_VERSION),
    }
    builder.Finish(struct(model), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _field(table: Table | None, number: int) -> int:
    """Where a field's value is; 0 if the table, or its field, is absent."""
    return int(table.Offset(4 + 2 * number)) if table is not None else 0


def _first(tables: list[Table]) -> Table | None:
    return tables[0] if tables else None


def _text(table: Table | None, number: int) -> str:
    field = _field(table, number)
    return bytes(table.String(table.Pos + field)).decode() if table is not None and field else ""


def _number(table: Table | None, number: int, kind: Any) -> int:
    field = _field(table, number)
    return int(table.Get(kind, table.Pos + field)) if table is not None and field else 0


def _child(table: Table | None, number: int) -> Table | None:
    field = _field(table, number)
    return Table(table.Bytes, table.Indirect(table.Pos + field)) if table is not None and field else None


def _tables(table: Table | None, number: int) -> list[Table]:
    field = _field(table, number)
    if table is None or not field:
        return []
    start = table.Vector(field)
    return [Table(table.Bytes, table.Indirect(start + 4 * index)) for index in range(table.VectorLen(field))]


def _floats(table: Table, number: int) -> list[float]:
    field = _field(table, number)
    if not field:
        return []
    start = table.Vector(field)
    return [float(table.Get(number_types.Float32Flags, start + 4 * index)) for index in range(table.VectorLen(field))]
