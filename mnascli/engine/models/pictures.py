"""The pictures that belong to a model: those it was trained on, in the form it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mnascli import paths
from mnascli.data import Dataset
from mnascli.data.loading import is_name, to_stderr
from mnascli.engine import config as configuration
from mnascli.engine.models.find import Model, find_model
from mnascli.errors import MnasError, UsageError
from mnascli.space import Architecture
from mnascli.tflite.metadata import Metadata
from mnascli.training.checkpoint import About, read_checkpoint
from mnascli.training.pictures import DataRequest
from mnascli.training.recipe import Recipe


def fitting_data(
    model: Model,
    data: str | None,
    architecture: Architecture,
    about: About,
    *,
    test_only: bool = False,
    say: Callable[[str], None] = to_stderr,
) -> Dataset:
    """Data as the network was trained to see it: as given, else what it was trained on, at its size and channels.

    `say` gets a warning if the given place is that of its training but its pictures have changed.
    Raises UsageError if nothing says what it was trained on, if that is gone or changed, and for other classes.
    """
    source = data or _own_source(model, about)
    if source is None:
        raise UsageError(
            f"{model.name}: does not say where its data ({about.data}) is: give the pictures it was trained on with "
            "--data"
        )
    try:
        dataset = data_of(
            model, source, architecture.size, architecture.channels, about.recipe, to_train=False, test_only=test_only
        )
    except MnasError as error:
        if data is not None:
            raise
        raise UsageError(
            f"{model.name}: was trained on {source}, which cannot be read now: give the pictures' place with --data "
            f"({error})"
        ) from error
    check_classes(model.name, about.classes, dataset)
    if dataset.hash != about.data_hash and dataset.source == about.source:
        changed = f"{model.name}: {source} changed since the training: test pictures may be ones it learned from"
        if data is None:
            raise UsageError(f"{changed}; --data {source} uses them as they are")
        say(changed)
    return replace(dataset, mean=about.mean, std=about.std)


def check_classes(name: str, classes: Sequence[str], dataset: Dataset) -> None:
    """Raises UsageError if the data does not have the classes of the model called `name`, in its order."""
    if len(classes) != len(dataset.classes):
        raise UsageError(
            f"{name}: has {len(classes)} classes, {dataset.name} has {len(dataset.classes)}: "
            "give the data it was trained on with --data, or train it on this data"
        )
    for number, (own, there) in enumerate(zip(classes, dataset.classes, strict=True)):
        if own != there:
            order = ", the same classes in another order" if sorted(classes) == sorted(dataset.classes) else ""
            raise UsageError(
                f"{name}: its class {number}, {own!r}, is {there!r} in {dataset.name}{order}: "
                "give data of its classes with --data, or train it on this data"
            )


def data_of(
    model: Model,
    source: str,
    size: int,
    channels: int | None,
    recipe: Recipe,
    *,
    to_train: bool,
    test_only: bool = False,
) -> Dataset:
    """The data that `source` names as `recipe` needs it; broken pictures are treated as in the model's run."""
    on_broken = configuration.load(model.run / "config.yaml").on_broken_image if model.run else "skip"
    return DataRequest(source, size, channels, on_broken).load(recipe, to_train=to_train, test_only=test_only)


def training_source(text: str, runs: Path, template: str | None, say: Callable[[str], None] = to_stderr) -> str:
    """What `mnas train` trains on if no data is given: the model's own, else the template's; reported with `say`.

    Raises UsageError if neither is known.
    """
    model = find_model(text, runs)
    if model.run is not None:
        source, whose = configuration.data_of(configuration.load(model.run / "config.yaml")), f"that of {model.run}"
    elif model.checkpoint is not None:
        about = read_checkpoint(model.checkpoint)
        known = _own_source(model, about)
        if known is None:
            raise UsageError(f"{text}: does not say where its data ({about.data}) is: give it with --data")
        source, whose = known, f"which {text} was trained on"
    else:
        source, whose = configuration.data_of(configuration.resolve(template, None, {})), "that of the template"
    say(f"no data was named: training on {source}, {whose}; --data names other data")
    return source


def source_of_file(path: Path, about: Metadata | None) -> str | None:
    """The data of a .tflite: what it names itself, else that of the run that exported it; None: not known."""
    if about is not None and about.data:
        return about.data
    folder = path.absolute().parent
    config = folder.parent / "config.yaml"
    return configuration.load(config).data if folder.name == "export" and paths.is_file(config) else None


def _own_source(model: Model, about: About) -> str | None:
    """The data a checkpoint was trained on. Older files, without a record of it, belong to a run or have a name."""
    if about.source:
        return about.source
    if model.run is not None:
        return configuration.load(model.run / "config.yaml").data
    return about.data if is_name(about.data) else None
