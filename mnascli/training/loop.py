"""The one training loop: for the proxy of a few seconds and for the long run."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F

from mnascli.data.dataset import Dataset
from mnascli.errors import MnasError, UsageError
from mnascli.nets.network import Network
from mnascli.training.average import Average
from mnascli.training.batches import Batches, ToInput
from mnascli.training.machine import DeviceChoice, choose_device, set_up_process
from mnascli.training.optimizers import make_optimizer
from mnascli.training.recipe import Recipe
from mnascli.training.resume import Progress, Resumable, training_id
from mnascli.training.scoring import evaluate

CHECK_STEPS = 20  # steps between two looks at the loss, each of which makes an accelerator wait


class TrainingError(MnasError):
    """A training that cannot go on: the loss is no number any more."""


@dataclass(frozen=True)
class Trained:
    """What a training gave, apart from the weights, which are in the network.

    `history` has a dict for each epoch: epoch (from 1), loss, accuracy (validation top-1), learning_rate.
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
    None leaves their number as it is.

    Raises TrainingError if the loss is no finite number any more, UsageError if network and data do not fit or the
    folder has another training, MnasError if the folder cannot be written.
    """
    check_fit(network, dataset)
    set_up_process(threads)
    machine = choose_device(device)
    _prepare(network, recipe, machine)
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
        epoch = progress.step // batches.per_epoch
        learning_rate = 0.0
        network.train()
        for step in batches.steps(epoch, progress.step % batches.per_epoch):
            torch.manual_seed(hash((seed, progress.step)))  # for dropout
            learning_rate = recipe.learning_rate_at(progress.step, batches.per_epoch)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            labels = torch.from_numpy(step.labels).to(machine)
            with torch.autocast(machine.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                logits = network(to_input(step.images))
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if recipe.clip_gradient_norm:
                torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_gradient_norm)
            optimizer.step()
            progress.step += 1
            if average is not None:
                average.update(progress.step)
            loss_sum += loss.detach()
            if progress.step % CHECK_STEPS == 0:
                _check_finite(loss_sum, progress.step)
            if progress.step % batches.per_epoch == 0:
                break  # the epoch's result belongs into the state that is saved
            if resumable is not None and time.monotonic() - saved_at >= save_every_s:
                resumable.save(progress)
                saved_at = time.monotonic()

        _check_finite(loss_sum, progress.step)
        with average.applied() if average is not None else nullcontext():
            accuracy = evaluate(network, dataset.validation, dataset).top1
        loss_mean = loss_sum.item() / batches.per_epoch
        loss_sum.zero_()
        progress.history.append(
            {"epoch": epoch + 1, "loss": loss_mean, "accuracy": accuracy, "learning_rate": learning_rate}
        )
        if on_epoch is not None:
            on_epoch(epoch + 1, accuracy)
        done = epoch + 1 == recipe.epochs
        if resumable is not None and (done or time.monotonic() - saved_at >= save_every_s):
            resumable.save(progress)
            saved_at = time.monotonic()

    if average is not None:
        average.apply()
    network.to("cpu")
    return Trained(progress.history[-1]["accuracy"], tuple(progress.history))
