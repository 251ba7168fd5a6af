"""The pictures that belong to a model: those it was trained on, as it was trained to see them."""

from __future__ import annotations

from dataclasses import replace

from mnascli.data import Dataset
from mnascli.engine import config as configuration
from mnascli.engine.candidate import DataRequest
from mnascli.engine.models import Model
from mnascli.errors import UsageError
from mnascli.space import Architecture
from mnascli.training.checkpoint import About
from mnascli.training.recipe import Recipe

DEFAULT_DATA = "fashion-mnist-10k"


def fitting_data(model: Model, data: str | None, architecture: Architecture, about: About) -> Dataset:
    """Data as the network was trained to see it: its size, channels and normalisation. Raises UsageError."""
    dataset = data_of(model, data, architecture.size, architecture.channels, about.recipe, to_train=False)
    if len(dataset.classes) != architecture.classes:
        raise UsageError(
            f"{model.name}: has {architecture.classes} classes, {dataset.name} has {len(dataset.classes)}: "
            "give the data it was trained on with --data, or train it on this data"
        )
    return replace(dataset, mean=about.mean, std=about.std)


def data_of(
    model: Model, data: str | None, size: int, channels: int | None, recipe: Recipe, *, to_train: bool
) -> Dataset:
    """The given data, else that of the model's run, else the bundled one; as `recipe` wants to see it."""
    config = configuration.load(model.run / "config.yaml") if model.run else None
    source = data or (configuration.data_of(config) if config else DEFAULT_DATA)
    on_broken = config.on_broken_image if config else "skip"
    return DataRequest(source, size, channels, on_broken).load(recipe, to_train=to_train)
