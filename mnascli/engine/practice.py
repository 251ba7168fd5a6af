"""Training, evaluating and exporting single models, as `mnas train`, `evaluate` and `export` do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnascli import nets
from mnascli.data import Dataset
from mnascli.engine import config as configuration
from mnascli.engine.bench import open_benches
from mnascli.engine.candidate import DataRequest
from mnascli.engine.executors import usable_cores
from mnascli.engine.exporting import export
from mnascli.engine.models import Model, find_model
from mnascli.errors import UsageError
from mnascli.runs import read_state
from mnascli.space import Architecture
from mnascli.tflite.interpreter import input_shape, predict
from mnascli.training.checkpoint import About, load_checkpoint, save_checkpoint
from mnascli.training.loop import train
from mnascli.training.recipe import Recipe
from mnascli.training.scoring import Scores, evaluate, scores

DEFAULT_DATA = "fashion-mnist-10k"


def train_model(
    text: str,
    runs: Path,
    *,
    data: str | None,
    recipe: Recipe,
    seed: int,
    threads: int | None,
    folder: Path,
    say: Callable[[str], None],
    width: float | None = None,
    size: int | None = None,
) -> dict[str, Any]:
    """Train a model from new weights, or go on where `folder` has a half-done training; its test accuracy.

    Pictures are read at the network's input size; its channels and classes become those of the data.
    """
    model = find_model(text, runs)
    architecture = model.architecture.on(width=width, size=size)
    # The network's channels are those of its data: a zoo model's 3 do not say that the data has colours.
    dataset = _data_of(model, data, architecture.size, None, recipe, to_train=True)
    architecture = replace(architecture, channels=dataset.channels, classes=len(dataset.classes))
    folder.mkdir(parents=True, exist_ok=True)
    network = nets.build(architecture, seed)
    trained = train(
        network,
        dataset,
        recipe,
        seed=seed,
        threads=threads or len(usable_cores()),
        folder=folder,
        on_epoch=lambda epoch, accuracy: say(f"epoch {epoch}/{recipe.epochs}: validation accuracy {accuracy:.4f}"),
    )
    checkpoint = save_checkpoint(folder / "model.safetensors", network, dataset, recipe, accuracy=trained.accuracy)
    return {
        "architecture": str(architecture),
        "checkpoint": str(checkpoint),
        "validation": trained.accuracy,
        **_json(evaluate(network, dataset.test, dataset)),
    }


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
    dataset = _data_of(model, data, architecture.size, architecture.channels, about.recipe, to_train=False)
    if len(dataset.classes) != architecture.classes:
        raise UsageError(
            f"{model.name}: has {architecture.classes} classes, {dataset.name} has {len(dataset.classes)}: "
            "give the data it was trained on with --data, or train it on this data"
        )
    return replace(dataset, mean=about.mean, std=about.std)


def _data_of(
    model: Model, data: str | None, size: int, channels: int | None, recipe: Recipe, *, to_train: bool
) -> Dataset:
    """The given data, else that of the model's run, else the bundled one."""
    config = configuration.load(model.run / "config.yaml") if model.run else None
    source = data or (config.data if config else DEFAULT_DATA)
    on_broken = config.on_broken_image if config else "skip"
    return DataRequest(source, size, channels, on_broken).load(recipe, to_train=to_train)


def _json(result: Scores) -> dict[str, Any]:
    return {"top1": result.top1, "top5": result.top5, "images": result.images}
