"""The only training loop: for the proxy of a few seconds and for the long run, in one process or many."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mnascli.data.dataset import Dataset
from mnascli.errors import MnasError, UsageError
from mnascli.interrupts import whole, whole_steps
from mnascli.nets.network import Network
from mnascli.training.average import Average
from mnascli.training.batches import Batches, ToInput
from mnascli.training.classification import CLASSIFICATION
from mnascli.training.freezing import freeze
from mnascli.training.machine import DeviceChoice, choose_device, decoding_workers, set_up_process
from mnascli.training.optimizers import make_optimizer
from mnascli.training.processes import Group, join_group, joined_batch_norm
from mnascli.training.recipe import Recipe
from mnascli.training.resume import Progress, Resumable, saved_at_interrupt, training_id
from mnascli.training.task import Task

CHECK_STEPS = 20  # steps between two looks at the loss, each of which makes an accelerator wait
# A training may have diverged if an epoch's loss is above these multiples of a guess's loss and of the lowest so far:
# one that begins far above a guess may still come down. It has diverged if the loss keeps growing, or stays, in shares
# of the epoch before; for so many steps it may stay, unless it is absurd: many trainings jump at first, and then fall.
DIVERGED, GROWN = 3.0, 2.0
GROWS, STAYS, JUMP_STEPS, ABSURD = 1.5, 0.9, 200, 30.0
ADVICE = ": lower learning_rate, or set warmup_epochs or clip_gradient_norm in the recipe"
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
MIXING = 1  # separates the random numbers of mixing from those of augmentation


class TrainingError(MnasError):
    """A training that cannot continue: the loss is no longer a number, or grew far above that of a guess."""


@dataclass(frozen=True)
class Trained:
    """The result of a training, apart from the weights, which are in the network.

    `history` has a dict for each epoch: epoch (from 1), loss (mean over its steps), accuracy (validation score).
    """

    accuracy: float
    history: tuple[dict[str, float], ...]
    late_loss: float | None
    """Mean training loss over the second half of all steps; None where a part of them was done by an older version."""


def train(
    network: Network,
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int = 0,
    threads: int | None = None,
    device: DeviceChoice = "auto",
    workers: int | None = None,
    compiled: bool = False,
    folder: Path | None = None,
    save_every_s: float = 30.0,
    task: Task = CLASSIFICATION,
    on_epoch: Callable[[int, float], None] | None = None,
    on_steps: Callable[[int, float, float], None] | None = None,
) -> Trained:
    """Train `network` in place; afterwards it is on the CPU, with the averaged weights if the recipe averages.

    With a `folder`, the state is saved there every `save_every_s` seconds, at Ctrl-C and at the end, and a training
    found there is resumed: on the same machine its weights become, bit for bit, those of a training that was never
    interrupted. `task` says what is learned.
    `on_epoch` is called with the number of each epoch (from 1) and the score on the validation part; `on_steps` every
    few steps with the number of steps done, the mean loss since its last call, and the learning rate. `threads` are CPU
    threads, None leaves their number as it is. `workers` are processes that decode pictures, None as many as suit the
    machine. `compiled` trains through torch.compile. torch's global random state is changed.

    In processes started by torchrun, each trains on its share of every batch and all end with the same network.

    Raises TrainingError if the loss is no longer finite or grows far above that of a guess, UsageError if network and
    data do not fit or the folder has another training, MnasError if the folder cannot be written.
    """
    _check_fit(network, dataset)
    group = join_group()
    set_up_process(threads)
    machine = choose_device(device, group.local_rank)
    network.to(machine)
    network.to(memory_format=torch.channels_last if recipe.channels_last else torch.contiguous_format)  # type: ignore[call-overload]
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = recipe.batch_norm_momentum
    frozen = freeze(network, recipe.freeze)
    optimizer = make_optimizer(network, recipe)
    scaler = torch.amp.GradScaler(machine.type, enabled=recipe.precision == "float16")
    average = Average(network, recipe.ema) if recipe.ema else None
    if workers is None:
        workers = decoding_workers(machine, group.local_size)
    batches = Batches(dataset.train, recipe, seed, rank=group.rank, ranks=group.size, workers=workers)
    to_input = ToInput(dataset, machine, recipe.channels_last)
    loss_sum = torch.zeros((), device=machine)  # of the epoch
    late_loss_sum = torch.zeros((), device=machine)  # of the second half of all steps
    progress = Progress()
    resumable = None
    if folder is not None:
        training = training_id(network, dataset, recipe, seed)
        resumable = Resumable(folder, network, optimizer, scaler, average, loss_sum, late_loss_sum, training, group)
        progress = resumable.restore()
    late_from = recipe.epochs * batches.per_epoch // 2
    model = _wrapped(network, machine, group, compiled)
    saved_at = time.monotonic()
    told = (progress.step, loss_sum.item())

    joined = joined_batch_norm(network, recipe.sync_batch_norm and group.size > 1)
    with joined, saved_at_interrupt(resumable, progress):
        while len(progress.history) < recipe.epochs:
            epoch = len(progress.history)
            begin = progress.step - epoch * batches.per_epoch  # the whole epoch if its evaluation was interrupted
            network.train()
            for module in frozen:
                module.eval()
            for index, (images, labels) in whole_steps(enumerate(batches.epoch(epoch, begin), begin)):
                if resumable is not None and _is_time(saved_at + save_every_s, index, group):
                    resumable.save(progress)
                    saved_at = time.monotonic()
                torch.manual_seed(((seed * group.size + group.rank) << 32) + progress.step)  # for dropout
                learning_rate = recipe.learning_rate_at(progress.step, batches.per_epoch, batches.batch_size)
                for parameters in optimizer.param_groups:
                    parameters["lr"] = learning_rate
                rng = np.random.default_rng((seed, epoch, index, MIXING))
                inputs, targets = task.targets(to_input(images), labels, recipe, rng)
                optimizer.zero_grad(set_to_none=True)
                pieces = list(zip(inputs.chunk(recipe.accumulate), targets.chunk(recipe.accumulate), strict=True))
                for number, (piece, piece_targets) in enumerate(pieces, 1):
                    with torch.autocast(
                        machine.type, PRECISIONS[recipe.precision], enabled=recipe.precision != "float32"
                    ):
                        outputs = model(piece)
                    loss = task.loss(outputs, piece_targets, recipe) * (len(piece) / len(inputs))
                    loss_sum += loss.detach()
                    if progress.step >= late_from:
                        late_loss_sum += loss.detach()
                    # Gradients are exchanged only with the last piece.
                    waiting = isinstance(model, DistributedDataParallel) and number < len(pieces)
                    with model.no_sync() if waiting else nullcontext():  # type: ignore[operator]
                        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
                if recipe.clip_gradient_norm:
                    scaler.unscale_(optimizer)
                    torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_gradient_norm)
                scaler.step(optimizer)
                scaler.update()
                progress.step += 1
                if progress.step == 1:
                    progress.start_loss = group.mean(loss_sum.clone()).item()
                if average is not None:
                    average.update(progress.step)
                if progress.step % CHECK_STEPS == 0:
                    _check_finite(loss_sum, progress.step)
                    if on_steps is not None:
                        total = loss_sum.item()
                        on_steps(progress.step, (total - told[1]) / (progress.step - told[0]), learning_rate)
                        told = (progress.step, total)

            _check_finite(loss_sum, progress.step)
            loss_of_epoch = group.mean(loss_sum).item() / batches.per_epoch
            # Not after the first epoch, which may begin with a jump.
            if epoch > recipe.warmup_epochs and _diverged(loss_of_epoch, progress, task.loss_of_a_guess(dataset)):
                raise TrainingError(f"the training diverged: loss {loss_of_epoch:.3g} in epoch {epoch + 1}{ADVICE}")
            group.share([*network.buffers(), *(average.averages.values() if average is not None else ())])
            with average.applied() if average is not None else nullcontext():
                accuracy = task.score(network, dataset.validation, dataset, group)
            with whole():
                progress.history.append({"epoch": epoch + 1, "loss": loss_of_epoch, "accuracy": accuracy})
                loss_sum.zero_()
                told = (progress.step, 0.0)
            if on_epoch is not None:
                on_epoch(epoch + 1, accuracy)

    if resumable is not None:
        resumable.save(progress)
    if average is not None:
        average.apply()
    network.to("cpu")
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    network.requires_grad_(True)
    late_loss = group.mean(late_loss_sum).item() / (progress.step - late_from)
    accuracy = progress.history[-1]["accuracy"]
    return Trained(accuracy, tuple(progress.history), late_loss if math.isfinite(late_loss) else None)


def _wrapped(network: Network, machine: torch.device, group: Group, compiled: bool) -> nn.Module:
    """What the batches go through: the network, with gradients exchanged between processes, and compiled."""
    model: nn.Module = network
    if group.size > 1:
        model = DistributedDataParallel(network, [machine] if machine.type == "cuda" else None)
    return torch.compile(model) if compiled else model  # type: ignore[return-value]


def _is_time(due: float, index: int, group: Group) -> bool:
    """Whether to save now; several processes have to agree on it, which they do every few steps."""
    if group.size == 1:
        return time.monotonic() >= due
    return index % CHECK_STEPS == 0 and bool(group.share_object(time.monotonic() >= due))


def _check_fit(network: Network, dataset: Dataset) -> None:
    architecture = network.architecture
    wanted = (architecture.size, architecture.channels, architecture.classes)
    given = (dataset.size, dataset.channels, len(dataset.classes))
    for what, needs, has in zip(("pixels", "channels", "classes"), wanted, given, strict=True):
        if needs != has:
            raise UsageError(f"the network is made for {needs} {what}, {dataset.name} has {has}: change either")


def _diverged(loss: float, progress: Progress, of_a_guess: float) -> bool:
    start = [progress.start_loss if progress.start_loss is not None else of_a_guess]
    before = start + [epoch["loss"] for epoch in progress.history]
    if loss < DIVERGED * of_a_guess or loss < GROWN * min(before):
        return False
    may_fall = progress.step < JUMP_STEPS and loss < ABSURD * of_a_guess
    return loss > (GROWS if may_fall else STAYS) * before[-1]


def _check_finite(loss_sum: Tensor, step: int) -> None:
    if not torch.isfinite(loss_sum):
        raise TrainingError(f"the loss is no longer finite at step {step}{ADVICE}")
