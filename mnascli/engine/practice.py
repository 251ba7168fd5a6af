"""Evaluating and exporting single models, as `mnas evaluate` and `export` do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnascli.data import Dataset
from mnascli.engine import config as configuration
from mnascli.engine.bench import open_benches
from mnascli.engine.candidate import DataRequest
from mnascli.engine.exporting import export
from mnascli.engine.models import Model, find_model
from mnascli.errors import UsageError
from mnascli.runs import read_state
from mnascli.space import Architecture
from mnascli.tflite.interpreter import input_shape, predict
from mnascli.training.checkpoint import About, load_checkpoint
from mnascli.training.recipe import Recipe
from mnascli.training.scoring import Scores, evaluate, scores

DEFAULT_DATA = "fashion-mnist-10k"


def evaluate_model(text: str, runs: Path, data: str | None) -> dict[str, Any]:
    """Accuracy of a checkpoint or a .tflite file on the test part. Raises UsageError where data do not fit."""
    if text.endswith(".tflite"):
        _, size, _, channels = input_shape(text)
        dataset = DataRequest(data or DEFAULT_DATA, size, channels).load(Recipe(), to_train=False)
        return {"model": text, "data": dataset.name, **_json(_evaluate_file(Path(text), dataset))}
    model = find_model(text, runs)
    network, about = load_checkpoint(model.weights())
    dataset = _fitting_data(model, data, network.architecture, about)
    return {"model": text, "data": dataset.name, **_json(evaluate(network, dataset.test, dataset))}


def export_model(text: str, runs: Path, data: str | None, file: Path, devices: Sequence[str]) -> dict[str, Any]:
    """A model's .tflite with its parity on validation images and its latency by device; for a run also its target."""
    model = find_model(text, runs)
    checkpoint = model.weights()
    network, about = load_checkpoint(checkpoint)
    dataset = _fitting_data(model, data, network.architecture, about)
    benches = open_benches(devices)
    try:
        exported = export(checkpoint, file, dataset, benches)
    finally:
        for bench in benches:
            bench.close()
    target_ms = read_state(model.run).targets_ms if model.run else {}
    return {**exported, "architecture": str(network.architecture), "target_ms": target_ms}


def _evaluate_file(file: Path, dataset: Dataset) -> Scores:
    logits = predict(file, dataset.normalise(dataset.test.images[:]), threads=1)
    if logits.shape[1] != len(dataset.classes):
        raise UsageError(f"{file}: has {logits.shape[1]} classes, {dataset.name} has {len(dataset.classes)}")
    return scores(logits, dataset.test.labels)


def _fitting_data(model: Model, data: str | None, architecture: Architecture, about: About) -> Dataset:
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
    source = data or (config.data if config else DEFAULT_DATA)
    on_broken = config.on_broken_image if config else "skip"
    return DataRequest(source, size, channels, on_broken).load(recipe, to_train=to_train)


def _json(result: Scores) -> dict[str, Any]:
    return {"top1": result.top1, "top5": result.top5, "images": result.images}
