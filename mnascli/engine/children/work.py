"""What a child process does: train one network, short or long, and report."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np

from mnascli import nets
from mnascli.engine.children.places import Place
from mnascli.runs import write_atomically
from mnascli.space import Architecture, Space
from mnascli.training.checkpoint import save_checkpoint
from mnascli.training.classification import CLASSIFICATION
from mnascli.training.loop import train
from mnascli.training.machine import set_up_process
from mnascli.training.pictures import DataRequest
from mnascli.training.recipe import Recipe
from mnascli.training.scoring import evaluate, predict_logits, scores
from mnascli.training.supernet import calibrated, load_supernet


def train_candidate(architecture: str, data: DataRequest, recipe: Recipe, seed: int, place: Place) -> dict[str, Any]:
    """Train a candidate briefly; returns its accuracy on the validation part."""
    began = time.monotonic()
    network = nets.build(Architecture.parse(architecture), seed, recipe.classifier_init)
    trained = train(network, data.load(recipe), recipe, seed=seed, threads=len(place.cores))
    return {
        "accuracy": trained.accuracy,
        "history": [epoch["accuracy"] for epoch in trained.history],
        "loss": trained.late_loss,
        "seconds": round(time.monotonic() - began, 3),
    }


def judge_child(
    architecture: str, data: DataRequest, recipe: Recipe, supernet: Path, space: Space, seed: int, place: Place
) -> dict[str, Any]:
    """A candidate's accuracy on the validation part with its share of a supernet; nothing is trained."""
    began = time.monotonic()
    set_up_process(len(place.cores))
    dataset = data.load(recipe, to_train=False)
    shared = load_supernet(supernet, space, dataset.hash)
    network = calibrated(shared, Architecture.parse(architecture), dataset)
    accuracy = CLASSIFICATION.score(network, dataset.validation, dataset)
    return {"accuracy": accuracy, "history": [accuracy], "seconds": round(time.monotonic() - began, 3)}


def train_fully(
    architecture: str,
    data: DataRequest,
    recipe: Recipe,
    seed: int,
    folder: Path,
    place: Place,
    supernet: tuple[Path, Space] | None = None,
) -> dict[str, Any]:
    """Train a network in full, resumably, and keep it: accuracies on the other parts, and the checkpoint.

    With a `supernet`, it begins with its share of it.
    """
    began = time.monotonic()
    dataset = data.load(recipe)
    network = nets.build(Architecture.parse(architecture), seed, recipe.classifier_init)
    if supernet is not None:
        network = calibrated(load_supernet(*supernet, dataset.hash), network.architecture, dataset)
    trained = train(network, dataset, recipe, seed=seed, threads=len(place.cores), folder=folder)
    selection = evaluate(network, dataset.selection, dataset)
    logits = predict_logits(network, dataset.test.images, dataset)
    test = scores(logits, dataset.test.labels)
    predictions = folder / "test-predictions.npy"
    buffer = io.BytesIO()
    np.save(buffer, logits.argmax(1))
    write_atomically(predictions, buffer.getvalue())
    checkpoint = save_checkpoint(folder / "model.safetensors", network, dataset, recipe, accuracy=trained.accuracy)
    return {
        "validation": trained.accuracy,
        "selection": selection.top1,
        "test": test.top1,
        "test_top5": test.top5,
        "test_images": test.images,
        "seconds": round(time.monotonic() - began, 3),
        "checkpoint": str(checkpoint),
        "predictions": str(predictions),
    }
