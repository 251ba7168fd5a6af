"""Training one network in full, as `mnas train` does, in one process or in those that torchrun started."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mnascli import nets, paths
from mnascli.cores import usable_cores
from mnascli.data import Dataset
from mnascli.engine.models.find import find_model
from mnascli.engine.models.pictures import data_of, training_source
from mnascli.errors import UsageError
from mnascli.training.board import open_board
from mnascli.training.checkpoint import save_checkpoint
from mnascli.training.classification import CLASSIFICATION
from mnascli.training.loop import train
from mnascli.training.machine import DeviceChoice
from mnascli.training.pretrained import Pretrained, load_pretrained, read_pretrained
from mnascli.training.processes import join_group, leave_group
from mnascli.training.recipe import Recipe
from mnascli.training.resume import FILE
from mnascli.training.scoring import evaluate

CHECKPOINT = "model.safetensors"


@dataclass(frozen=True)
class Options:
    """How to train, apart from the recipe: only `seed` and `pretrained` change the result."""

    seed: int = 0
    threads: int | None = None
    device: DeviceChoice = "auto"
    workers: int | None = None
    compiled: bool = False
    pretrained: Path | None = None
    tensorboard: bool = False


def train_model(
    text: str,
    runs: Path,
    *,
    data: str | None,
    recipe: Recipe,
    options: Options,
    folder: Path,
    say: Callable[[str], None],
    step: Callable[[int, int, str], None],
    width: float | None = None,
    size: int | None = None,
    template: str | None = None,
) -> dict[str, Any] | None:
    """Train a model from new or pre-trained weights, or resume a half-done training in `folder`; gives its accuracy.

    Without `data`, the model's own is used, else the template's, and `say` reports it. Pictures are read at the
    network's input size; its channels and classes become those of the data. Of several processes, only the first one
    prints, reports finished epochs to `step`, writes files and has a result; the others get None.

    Raises UsageError if `folder` has a network of another training, and everything that its parts raise.
    """
    model = find_model(text, runs)
    architecture = model.architecture.on(width=width, size=size)
    start = read_pretrained(options.pretrained) if options.pretrained else None
    if (folder / CHECKPOINT).exists() and not (folder / FILE).exists():
        raise UsageError(f"{folder}: has a {CHECKPOINT} of another training: choose another folder with --output")
    group = join_group()
    tell = say if group.leads else lambda line: None
    source = data or training_source(text, runs, template, tell)
    with group.first_alone():
        # The network's channels are those of its data: a zoo model's 3 do not mean that the data has colours.
        dataset = data_of(model, source, architecture.size, None, recipe, to_train=True)
    architecture = replace(architecture, channels=dataset.channels, classes=len(dataset.classes))
    if start is not None:
        architecture = replace(architecture, bn_epsilon=start.bn_epsilon)
        dataset = _as_seen_by(start, dataset)
    network = nets.build(architecture, options.seed, recipe.classifier_init)
    for line in load_pretrained(network, start) if start is not None else ():
        tell(line)
    folder.mkdir(parents=True, exist_ok=True)
    paths.check_writable(folder / CHECKPOINT)
    board = open_board(folder / "tb") if options.tensorboard and group.leads else None
    began = time.monotonic()

    epochs_done = 0

    def on_epoch(epoch: int, accuracy: float) -> None:
        nonlocal epochs_done
        epochs_done = epoch
        spent = time.monotonic() - began
        tell(f"{spent:6.0f} s  epoch {epoch}/{recipe.epochs}: validation {CLASSIFICATION.metric} {accuracy:.4f}")
        if group.leads:
            step(epoch, recipe.epochs, f"validation {CLASSIFICATION.metric} {accuracy:.4f}")
        if board is not None:
            board.on_epoch(epoch, accuracy)

    def on_steps(steps: int, loss: float, learning_rate: float) -> None:
        step(epochs_done, recipe.epochs, f"step {steps}, loss {loss:.3f}")
        if board is not None:
            board.on_steps(steps, loss, learning_rate)

    if group.leads and options.threads is None and (warning := _if_busy()):
        tell(warning)
    trained = train(
        network,
        dataset,
        recipe,
        seed=options.seed,
        threads=options.threads or max(1, len(usable_cores()) // group.local_size),
        device=options.device,
        workers=options.workers,
        compiled=options.compiled,
        folder=folder,
        on_epoch=on_epoch,
        on_steps=on_steps if group.leads else None,
    )
    result = evaluate(network, dataset.test, dataset, group)
    leave_group()
    if board is not None:
        board.close()
    if not group.leads:
        return None
    checkpoint = save_checkpoint(folder / CHECKPOINT, network, dataset, recipe, accuracy=trained.accuracy)
    return {
        "architecture": str(architecture),
        "checkpoint": str(checkpoint),
        "validation": trained.accuracy,
        "top1": result.top1,
        "top5": result.top5,
        "images": result.images,
        "seconds": round(time.monotonic() - began, 3),
    }


def _if_busy() -> str | None:
    """A warning if others use more than half of the cores: each of our threads would wait for the slowest."""
    cores, load = len(usable_cores()), os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load <= cores / 2:
        return None
    return f"the machine is busy (load {load:.1f} on {cores} cores): with fewer --threads an epoch may be faster"


def is_begun(folder: Path) -> bool:
    """Whether there is a training that can be resumed."""
    return paths.is_file(folder / FILE)


def _as_seen_by(start: Pretrained, dataset: Dataset) -> Dataset:
    """The data normalised like what the weights were trained on, if the channels are the same."""
    return replace(dataset, mean=start.mean, std=start.std) if len(start.mean) == dataset.channels else dataset
