"""Training a supernet: every step trains one child, so that in the end all children can be compared.

A `Guide` says which child to train: `Uniform` draws each child uniformly. A guide that learns (TuNAS, 2008.06120:
architecture and weights in turn) gets, after each step, the accuracy of another child on a batch of the validation
part.

At first each path's features mean something different to the layers after it, so that single paths drawn uniformly
learn slowly. So the training begins with one child, the anchor, and gradually leaves it during the first `warmup` of
the steps: each decision is the sampled child's with a probability that rises from 0 to 1. A layer then learns to take
another's place while most others stay the same. (Once-for-all, 1908.09791, shrinks from the largest child in steps;
TuNAS, 2008.06120, has all operators and filters on instead. The two were not compared here.)
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mnascli.data.dataset import Dataset
from mnascli.errors import UsageError
from mnascli.nets.modules import BN_MOMENTUM
from mnascli.nets.network import Network
from mnascli.nets.supernet import Supernet
from mnascli.space import Architecture, Space
from mnascli.training.average import Average
from mnascli.training.batches import Batches, ToInput
from mnascli.training.classification import CLASSIFICATION
from mnascli.training.loop import ADVICE, PRECISIONS, TrainingError
from mnascli.training.machine import DeviceChoice, choose_device, set_up_process
from mnascli.training.optimizers import make_optimizer
from mnascli.training.recipe import Recipe
from mnascli.training.resume import FILE, changing, check_same, put_back
from mnascli.training.task import Task
from mnascli.training.tensors import read_about, read_tensors, write_tensors
from mnascli.training.timing import one_epoch, shortened, timed

CALIBRATION_BATCH = 250
CHECK_STEPS = 20  # steps between two looks at the loss


class Guide(Protocol):
    """Chooses the children that are trained. Its state is plain JSON and goes into the training's."""

    learns: bool

    def sample(self, step: int) -> Architecture: ...
    def learn(self, architecture: Architecture, accuracy: float) -> None: ...
    def state(self) -> Any: ...
    def restore(self, state: Any) -> None: ...


class Uniform:
    """Every decision uniform, from only seed and step."""

    learns = False

    def __init__(self, space: Space, seed: int) -> None:
        self.space = space
        self.seed = seed

    def sample(self, step: int) -> Architecture:
        return self.space.sample(random.Random(f"{self.seed}/{step}"))

    def learn(self, architecture: Architecture, accuracy: float) -> None:
        """It learns nothing."""

    def state(self) -> Any:
        return None

    def restore(self, state: Any) -> None:
        """There is nothing to restore."""


def train_supernet(
    supernet: Supernet,
    dataset: Dataset,
    recipe: Recipe,
    guide: Guide,
    *,
    warmup: float,
    seed: int = 0,
    threads: int | None = None,
    device: DeviceChoice = "auto",
    folder: Path | None = None,
    save_every_s: float = 30.0,
    task: Task = CLASSIFICATION,
    on_epoch: Callable[[int, float], None] | None = None,
) -> None:
    """Train `supernet` in place; afterwards it is on the CPU, with the averaged weights if the recipe averages.

    `warmup` is a share of all steps, from 0 to 1. With a `folder` the training can be killed and resumed, as in
    `training.train`; `on_epoch` gets the number of each epoch (from 1) and its mean loss. torch's global random state
    is changed. Raises TrainingError if the loss is no longer finite, UsageError if the folder has another training,
    MnasError if it cannot be written.
    """
    _check_recipe(recipe)
    set_up_process(threads)
    machine = choose_device(device)
    supernet.to(machine).train()
    optimizer = make_optimizer(supernet, recipe)
    average = Average(supernet, recipe.ema) if recipe.ema else None
    batches = Batches(dataset.train, recipe, seed)
    to_input = ToInput(dataset, machine, recipe.channels_last)
    held_out = range(len(dataset.validation.labels))
    judged_at_once = min(batches.batch_size, len(held_out))
    steps = recipe.epochs * batches.per_epoch
    state = _State(supernet, optimizer, average, guide, _identity(supernet.space, dataset, recipe, warmup, seed))
    if folder is not None:
        state.restore(folder)
    saved_at = time.monotonic()
    anchor = supernet.anchor()

    def forward(inputs: Tensor, child: Architecture) -> Tensor:
        with torch.autocast(machine.type, PRECISIONS[recipe.precision], enabled=recipe.precision != "float32"):
            logits: Tensor = supernet(inputs, child)
        return logits

    while state.step < steps:
        epoch, begin = divmod(state.step, batches.per_epoch)
        for images, labels in batches.epoch(epoch, begin):
            if folder is not None and time.monotonic() - saved_at >= save_every_s:
                state.save(folder)
                saved_at = time.monotonic()
            torch.manual_seed((seed << 32) + state.step)  # for dropout
            learning_rate = recipe.learning_rate_at(state.step, batches.per_epoch, batches.batch_size)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            child = guide.sample(state.step)
            if state.step < warmup * steps:
                rng = random.Random(f"warm-up {seed}/{state.step}")
                child = _mixed(supernet.space, anchor, child, state.step / (warmup * steps), rng)
            inputs, targets = task.targets(to_input(images), labels, recipe, np.random.default_rng(seed))
            loss = task.loss(forward(inputs, child), targets, recipe)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if recipe.clip_gradient_norm:
                torch.nn.utils.clip_grad_norm_(supernet.parameters(), recipe.clip_gradient_norm)
            optimizer.step()
            state.step += 1
            state.loss_sum += loss.detach()
            if average is not None:
                average.update(state.step)
            if state.step % CHECK_STEPS == 0 and not torch.isfinite(state.loss_sum):
                raise TrainingError(f"the supernet's loss is no longer finite at step {state.step}{ADVICE}")
            if guide.learns and state.step > warmup * steps:
                judged = guide.sample(state.step)  # not the child that was trained
                chosen = np.sort(random.Random(f"validation {seed}/{state.step}").sample(held_out, judged_at_once))
                with torch.no_grad():
                    outputs = forward(to_input(dataset.validation.images[chosen]), judged)
                guide.learn(judged, task.score_of(outputs, dataset.validation.labels[chosen]))
        loss_of_epoch = state.loss_sum.item() / batches.per_epoch
        state.loss_sum.zero_()
        if on_epoch is not None:
            on_epoch(epoch + 1, loss_of_epoch)

    if folder is not None:
        state.save(folder)
    if average is not None:
        average.apply()
    supernet.to("cpu").eval()


def calibrated(supernet: Supernet, architecture: Architecture, dataset: Dataset, images: int = 2000) -> Network:
    """A child as a network of its own, in evaluation mode, with the batch norm statistics of its own activations.

    They come from `images` training images, the same for all children; a child that shares its weights with others has
    no statistics that fit it.
    """
    network = supernet.extract(architecture)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    to_input = ToInput(dataset, torch.device("cpu"), channels_last=True)
    chosen = np.random.default_rng(0).permutation(len(dataset.train.labels))[:images]
    network.train()
    with torch.no_grad():
        for start in range(0, len(chosen), CALIBRATION_BATCH):
            network(to_input(dataset.train.images[np.sort(chosen[start : start + CALIBRATION_BATCH])]))
    for norm in norms:
        norm.momentum = BN_MOMENTUM
    return network.eval()


def supernet_seconds_per_epoch(
    supernet: Supernet, dataset: Dataset, recipe: Recipe, seed: int, threads: int | None
) -> float:
    """How long an epoch of single paths takes here, from a few steps of training (which change `supernet`)."""
    images, once, guide = len(dataset.train.labels), one_epoch(recipe), Uniform(supernet.space, seed)

    def work(count: int) -> None:
        short = shortened(dataset, count / images)
        train_supernet(supernet, short, once, guide, warmup=0.0, seed=seed, threads=threads)

    return timed(work, images) * images


def save_supernet(path: Path, supernet: Supernet, dataset: Dataset, recipe: Recipe) -> None:
    """Keep a trained supernet for other searches. Raises MnasError if it cannot be written."""
    about = {"supernet": supernet.space.hash, "data": dataset.name, "data_hash": dataset.hash}
    write_tensors(path, supernet.state_dict(), {**about, "recipe": recipe.model_dump(mode="json")})


def load_supernet(path: Path, space: Space, data_hash: str) -> Supernet:
    """The supernet of a file; `data_hash` is '' if it is not known.

    Raises UsageError for one of another space or other data, or a file that is not a supernet."""
    about = read_about(path)
    if "supernet" not in about:
        raise UsageError(f"{path}: not a supernet (a search with `evaluator: supernet` makes one)")
    if about["supernet"] != space.hash:
        raise UsageError(f"{path}: a supernet of another space: it cannot be reused here; train one for this space")
    if data_hash and about["data_hash"] != data_hash:
        raise UsageError(f"{path}: a supernet trained on other data ({about['data']}): train one on this data")
    supernet = Supernet(space)
    supernet.load_state_dict(read_tensors(path)[0])
    return supernet.eval()


def _mixed(space: Space, anchor: Architecture, child: Architecture, free: float, rng: random.Random) -> Architecture:
    """The anchor, with each decision randomly the child's; `free` is the probability."""
    decisions = zip(space.encode(anchor), space.encode(child), strict=True)
    return space.decode([own if rng.random() < free else fixed for fixed, own in decisions])


class _State:
    """All that changes during a training, without random numbers: they depend only on seed and step."""

    def __init__(
        self, supernet: Supernet, optimizer: Optimizer, average: Average | None, guide: Guide, training: dict[str, Any]
    ) -> None:
        self.supernet, self.optimizer, self.average, self.guide = supernet, optimizer, average, guide
        self.training = training  # what must be the same for it to be resumed
        self.step = 0
        self.loss_sum = torch.zeros((), device=next(supernet.parameters()).device)  # of the epoch

    def save(self, folder: Path) -> None:
        about = {"training": self.training, "step": self.step, "guide": self.guide.state()}
        write_tensors(folder / FILE, self._tensors(), about)

    def restore(self, folder: Path) -> None:
        path = folder / FILE
        if not path.exists():
            return
        saved, about = read_tensors(path)
        check_same(path, "a supernet's training", about, self.training)
        put_back(saved, self._tensors, self.optimizer)
        self.step = about["step"]
        self.guide.restore(about["guide"])

    def _tensors(self) -> dict[str, Tensor]:
        return changing("supernet", self.supernet, self.optimizer, self.average, self.loss_sum)


def _identity(space: Space, dataset: Dataset, recipe: Recipe, warmup: float, seed: int) -> dict[str, Any]:
    recipe_values = {f"recipe.{key}": value for key, value in recipe.model_dump(mode="json").items()}
    return {"space": space.hash, "data": dataset.hash, "warmup": warmup, "seed": seed, **recipe_values}


def _check_recipe(recipe: Recipe) -> None:
    default = Recipe()
    for name in ("accumulate", "classifier_init", "freeze", "mixup", "cutmix", "sync_batch_norm"):
        if getattr(recipe, name) != getattr(default, name):
            raise UsageError(f"supernet.recipe: {name}: the training of a supernet does not support it; omit it")
    if recipe.precision == "float16":
        raise UsageError("supernet.recipe: precision: float32 or bfloat16")
