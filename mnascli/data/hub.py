"""Data sets in the format of Hugging Face's `datasets`: by name from its hub or cache, or a folder that it saved."""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnascli import paths
from mnascli.data.arrays import DataError, Labels
from mnascli.data.checking import Report
from mnascli.data.extras import extra
from mnascli.data.source import Pictures, Source, check_classes, parts_called, settle
from mnascli.errors import UsageError


@dataclass(frozen=True)
class Rows:
    """Rows of a table that `datasets` maps into memory."""

    table: Any
    image: str  # name of the column
    labels: Labels
    part: str

    def read(self, number: int) -> bytes:
        value = self.table[number][self.image]
        if value["bytes"] is not None:
            return bytes(value["bytes"])
        return Path(value["path"]).read_bytes()

    def name(self, number: int) -> str:
        return f"row {number} of {self.part}"


def find(name: str, report: Report) -> Source:
    """The pictures of `NAME`, `NAME:CONFIG` or the folder of a saved data set.

    Raises UsageError if `datasets` is not installed or finds nothing, DataError for data without pictures or
    classes.
    """
    datasets = extra("datasets", "huggingface")
    tables = _load(datasets, name)
    parts_there = settle(f"hf:{name}", parts_called(f"hf:{name}", tables), report)
    if not parts_there:
        raise DataError(f"hf:{name}: no split called train or test: available: {', '.join(tables)}")
    first = next(iter(parts_there.values()))
    features = tables[first].features
    image = _column(
        name, "pictures", [key for key, kind in features.items() if isinstance(kind, datasets.Image)], "image"
    )
    labelled = [key for key, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    label = _column(name, "classes (ClassLabel)", labelled, "label")
    classes = tuple(features[label].names)
    parts: dict[str, Pictures] = {}
    for part, split in parts_there.items():
        table = tables[split]
        if table.features.get(label) != features[label]:
            raise DataError(f"hf:{name}: {split} has different classes from {first}: all parts need the same classes")
        raw = table.cast_column(image, datasets.Image(decode=False))
        labels = np.asarray(table.with_format("numpy", columns=[label])[:][label], np.int64)
        if len(labels) and labels.min() < 0:
            if part == "test" and "train" in parts_there:
                report(f"hf:{name}: {split} has no labels and is not used; test is held out of train")
                continue
            raise DataError(f"hf:{name}: {split} has pictures without a label")
        parts[part] = Rows(raw.select_columns([image]), image, labels, split)
    check_classes(f"hf:{name}", classes, parts)
    identity = repr([name, classes, [tables[split]._fingerprint for split in parts_there.values()]])
    return Source(Path(name).name.replace(":", "-"), f"hf:{name}", classes, parts, identity)


def _load(datasets: Any, name: str) -> Any:
    """The splits by name."""
    logging.getLogger("datasets").setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            if paths.is_dir(Path(name)) and any(
                (Path(name) / file).exists() for file in ("dataset_dict.json", "state.json")
            ):
                loaded = datasets.load_from_disk(name)
                return loaded if isinstance(loaded, dict) else {"train": loaded}
            place, _, configuration = name.partition(":")
            return datasets.load_dataset(place, configuration or None)
    except Exception as error:  # its loaders raise nearly anything
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise UsageError(f"hf:{name}: the datasets library cannot load it: {reason}") from error


def _column(name: str, what: str, columns: list[str], usual: str) -> str:
    if usual in columns:
        return usual
    if len(columns) != 1:
        found = (
            f"several columns of {what}: {', '.join(columns)}; call one of them {usual}" if columns else f"no {what}"
        )
        raise DataError(f"hf:{name}: {found}")
    return columns[0]
