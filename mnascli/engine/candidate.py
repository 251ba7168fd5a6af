"""What a child process does: train one network, short or long, and report."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mnascli import nets
from mnascli.data import Dataset, load
from mnascli.data.preview import Preview, preview
from mnascli.runs import write_atomically
from mnascli.space import Architecture, Space
from mnascli.training.checkpoint import save_checkpoint
from mnascli.training.loop import train
from mnascli.training.machine import set_up_process
from mnascli.training.one_shot import calibrated, load_supernet
from mnascli.training.recipe import Recipe
from mnascli.training.scoring import evaluate, predict_logits, scores


@dataclass(frozen=True)
class DataRequest:
    """Which pictures, at which size; a child opens them by itself."""

    source: str
    size: int
    channels: int | None
    on_broken: Literal["skip", "stop"] = "skip"

    def load(self, recipe: Recipe, *, to_train: bool = True, test_only: bool = False) -> Dataset:
        """The pictures as `recipe` wants to see them; whole ones are kept in reach only if it is there `to_train`.

        With `test_only` the other parts may be missing.
        """
        return load(
            self.source,
            size=self.size,
            channels=self.channels,
            crop=recipe.evaluation_crop,
            stream=(to_train and recipe.needs_pictures) or None,
            on_broken=self.on_broken,
            test_only=test_only,
        )

    def preview(self, recipe: Recipe) -> Preview:
        """What `load` would give, without looking at all pictures."""
        return preview(
            self.source,
            size=self.size,
            channels=self.channels,
            crop=recipe.evaluation_crop,
            stream=recipe.needs_pictures or None,
            on_broken=self.on_broken,
        )


def train_candidate(architecture: str, data: DataRequest, recipe: Recipe, seed: int, threads: int) -> dict[str, Any]:
    """Train a candidate for a short while; its accuracy on the validation part."""
    began = time.monotonic()
    network = nets.build(Architecture.parse(architecture), seed, recipe.classifier_init)
    trained = train(network, data.load(recipe), recipe, seed=seed, threads=threads)
    return {
        "accuracy": trained.accuracy,
        "history": [epoch["accuracy"] for epoch in trained.history],
        "seconds": round(time.monotonic() - began, 3),
    }


def judge_child(
    architecture: str, data: DataRequest, recipe: Recipe, supernet: Path, space: Space, seed: int, threads: int
) -> dict[str, Any]:
    """A candidate's accuracy on the validation part with its share of a supernet; nothing is trained."""
    began = time.monotonic()
    set_up_process(threads)
    dataset = data.load(recipe, to_train=False)
    shared = load_supernet(supernet, space, dataset.hash)
    accuracy = evaluate(calibrated(shared, Architecture.parse(architecture), dataset), dataset.validation, dataset).top1
    return {"accuracy": accuracy, "history": [accuracy], "seconds": round(time.monotonic() - began, 3)}


def train_fully(
    architecture: str,
    data: DataRequest,
    recipe: Recipe,
    seed: int,
    folder: Path,
    threads: int,
    supernet: tuple[Path, Space] | None = None,
) -> dict[str, Any]:
    """Train a network for long, resumably, and keep it: accuracies on the other parts, and the checkpoint.

    With a `supernet` it begins with its share of that.
    """
    began = time.monotonic()
    dataset = data.load(recipe)
    network = nets.build(Architecture.parse(architecture), seed, recipe.classifier_init)
    if supernet is not None:
        network = calibrated(load_supernet(*supernet, dataset.hash), network.architecture, dataset)
    trained = train(network, dataset, recipe, seed=seed, threads=threads, folder=folder)
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
