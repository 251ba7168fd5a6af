"""The one training loop: for the proxy of a few seconds and for the long run."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnascli.data.dataset import Dataset, Split
from mnascli.errors import MnasError, UsageError
from mnascli.nets.network import Network
from mnascli.training.average import Average
from mnascli.training.batches import Batches, ToInput
from mnascli.training.machine import DeviceChoice, choose_device, set_up_process
from mnascli.training.optimizers import make_optimizer
from mnascli.training.recipe import Recipe
from mnascli.training.resume import Progress, Resumable, training_id
from mnascli.training.scoring import evaluate

TIMED_BATCHES = 10
CHECK_STEPS = 20  # steps between two looks at the loss, each of which makes an accelerator wait


class TrainingError(MnasError):
    """A training that cannot go on: the loss is no number any more."""


@dataclass(frozen=True)
class Trained:
    """What a training gave, apart from the weights, which are in the network.

    `history` has a dict for each epoch: epoch (from 1), loss (mean over its steps), accuracy (validation top-1).
    """

    accuracy: float
    history: tuple[dict[str, float], ...]


def train(
    network: Network,
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int = 0,
    threads: int | None = None,
    device: DeviceChoice = "auto",
    folder: Path | None = None,
    save_every_s: float = 30.0,
    on_epoch: Callable[[int, float], None] | None = None,
) -> Trained:
    """Train `network` in place; it is on the CPU afterwards, with the averaged weights if the recipe averages.

    With a `folder`, the state is saved there every `save_every_s` seconds and at the end, and a training found there is
    gone on with: on the same machine its weights become, bit for bit, those of a training that was never interrupted.
    `on_epoch` is called with the number of each epoch (from 1) and its validation accuracy. `threads` are CPU threads,
    None leaves their number as it is. torch's global random state is changed.

    Raises TrainingError if the loss is no finite number any more, UsageError if network and data do not fit or the
    folder has another training, MnasError if the folder cannot be written.
    """
    _check_fit(network, dataset)
    set_up_process(threads)
    machine = choose_device(device)
    network.to(machine)
    network.to(memory_format=torch.channels_last if recipe.channels_last else torch.contiguous_format)  # type: ignore[call-overload]
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = recipe.batch_norm_momentum
    optimizer = make_optimizer(network, recipe)
    average = Average(network, recipe.ema) if recipe.ema else None
    batches = Batches(dataset.train, recipe, seed)
    to_input = ToInput(dataset, machine, recipe.channels_last)
    loss_sum = torch.zeros((), device=machine)  # of the epoch
    progress = Progress()
    resumable = None
    if folder is not None:
        training = training_id(network, dataset, recipe, seed)
        resumable = Resumable(folder, network, optimizer, average, loss_sum, training)
        progress = resumable.restore()
    saved_at = time.monotonic()

    while progress.step < recipe.epochs * batches.per_epoch:
        epoch, begin = divmod(progress.step, batches.per_epoch)
        order = batches.order(epoch)
        network.train()
        for index in range(begin, batches.per_epoch):
            # Between steps, so that what is saved is never behind the last step of an epoch and before its evaluation.
            if resumable is not None and time.monotonic() - saved_at >= save_every_s:
                resumable.save(progress)
                saved_at = time.monotonic()
            torch.manual_seed((seed << 32) + progress.step)  # for dropout
            learning_rate = recipe.learning_rate_at(progress.step, batches.per_epoch)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            images, labels = batches.get(order, epoch, index)
            with torch.autocast(machine.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                logits = network(to_input(images))
            targets = torch.from_numpy(labels).to(machine)
            batch_loss = F.cross_entropy(logits.float(), targets, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            batch_loss.backward()  # type: ignore[no-untyped-call]
            if recipe.clip_gradient_norm:
                torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_gradient_norm)
            optimizer.step()
            progress.step += 1
            if average is not None:
                average.update(progress.step)
            loss_sum += batch_loss.detach()
            if progress.step % CHECK_STEPS == 0:
                _check_finite(loss_sum, progress.step)

        _check_finite(loss_sum, progress.step)
        with average.applied() if average is not None else nullcontext():
            accuracy = evaluate(network, dataset.validation, dataset).top1
        loss = loss_sum.item() / batches.per_epoch
        loss_sum.zero_()
        progress.history.append({"epoch": epoch + 1, "loss": loss, "accuracy": accuracy})
        if on_epoch is not None:
            on_epoch(epoch + 1, accuracy)

    if resumable is not None:
        resumable.save(progress)
    if average is not None:
        average.apply()
    network.to("cpu")
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return Trained(progress.history[-1]["accuracy"], tuple(progress.history))


def seconds_per_epoch(network: Network, dataset: Dataset, recipe: Recipe, *, threads: int | None = None) -> float:
    """How long an epoch with its evaluation takes here, from a few steps of training (which change `network`)."""
    seconds = share = 0.0
    for batches in (2, TIMED_BATCHES):  # torch's first steps are slow
        share = min(1.0, batches * recipe.batch_size / len(dataset.train.labels))
        short = replace(dataset, train=_share(dataset.train, share), validation=_share(dataset.validation, share))
        began = time.perf_counter()
        train(network, short, recipe.model_copy(update={"epochs": 1, "warmup_epochs": 0.0}), threads=threads)
        seconds = time.perf_counter() - began
    return seconds / share


def _share(split: Split, share: float) -> Split:
    images = max(2, round(share * len(split.labels)))
    return Split(split.images[:images], split.labels[:images])


def _check_fit(network: Network, dataset: Dataset) -> None:
    architecture = network.architecture
    wanted = (architecture.size, architecture.channels, architecture.classes)
    given = (dataset.size, dataset.channels, len(dataset.classes))
    for what, needs, has in zip(("pixels", "channels", "classes"), wanted, given, strict=True):
        if needs != has:
            raise UsageError(f"the network is made for {needs} {what}, {dataset.name} has {has}: change one of them")


def _check_finite(loss_sum: Tensor, step: int) -> None:
    if not torch.isfinite(loss_sum):
        raise TrainingError(
            f"the loss is no finite number any more at step {step}: lower learning_rate, or set warmup_epochs or "
            "clip_gradient_norm in the recipe"
        )
