"""A half-done training in a file, so that it resumes as if it had never stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mnascli.data.dataset import Dataset
from mnascli.errors import UsageError
from mnascli.interrupts import was_heard
from mnascli.nets.network import Network
from mnascli.training.average import Average
from mnascli.training.processes import Group
from mnascli.training.recipe import Recipe
from mnascli.training.tensors import read_tensors, write_tensors

FILE = "training.safetensors"


@dataclass
class Progress:
    """How far a training has come: the next `step`, counted over all epochs, and the result of each finished epoch."""

    step: int = 0
    start_loss: float | None = None  # of the first step, before anything was learned
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Resumable:
    """All that changes during a training, without random numbers: they depend only on seed and step."""

    folder: Path
    network: Network
    optimizer: Optimizer
    scaler: torch.amp.GradScaler
    average: Average | None
    loss_sum: Tensor
    late_loss_sum: Tensor
    training: dict[str, Any]  # what must be the same for a training to be resumed
    group: Group

    def save(self, progress: Progress) -> None:
        """Write the state; the previous one stays until this one is complete. Raises MnasError for a full disk.

        Only the first of several processes writes, but all have to call it.
        """
        self.group.mean(self.loss_sum)
        self.group.mean(self.late_loss_sum)
        if self.group.leads:
            about = {
                "training": self.training,
                "step": progress.step,
                "start_loss": progress.start_loss,
                "history": progress.history,
                "scaler": self.scaler.state_dict(),
            }
            write_tensors(self.folder / FILE, self._tensors(), about)

    def restore(self) -> Progress:
        """Restore the saved state; the start if nothing was saved.

        Raises UsageError if the folder has another training, or its file is damaged.
        """
        path = self.folder / FILE
        found = self.group.share_object(read_tensors(path) if self.group.leads and path.exists() else None)
        if found is None:
            return Progress()
        saved, about = found
        check_same(path, "a training", about, self.training)
        # Older files have no late loss: it then stays unknown.
        put_back({"late_loss_sum": torch.tensor(torch.nan), **saved}, self._tensors, self.optimizer)
        self.scaler.load_state_dict(about["scaler"])
        return Progress(about["step"], about.get("start_loss"), about["history"])

    def _tensors(self) -> dict[str, Tensor]:
        tensors = changing("network", self.network, self.optimizer, self.average, self.loss_sum)
        return tensors | {"late_loss_sum": self.late_loss_sum}


@contextmanager
def saved_at_interrupt(resumable: Resumable | None, progress: Progress) -> Iterator[None]:
    """Save the state if Ctrl-C ends the block, but not with several processes: each is at a different step then."""
    try:
        yield
    except KeyboardInterrupt:
        if resumable is not None and resumable.group.size == 1 and was_heard():
            resumable.save(progress)
        raise


def changing(
    name: str, weights: nn.Module, optimizer: Optimizer, average: Average | None, loss_sum: Tensor
) -> dict[str, Tensor]:
    """The tensors that a training changes, not copies of them; the names of the module's begin with `name`."""
    tensors = {f"{name}.{key}": tensor for key, tensor in weights.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items() if value is not None}
    if average is not None:
        tensors |= {f"average.{key}": tensor for key, tensor in average.averages.items()}
    return tensors | {"loss_sum": loss_sum}


def put_back(saved: Mapping[str, Tensor], tensors: Callable[[], dict[str, Tensor]], optimizer: Optimizer) -> None:
    """Copy the saved values into `tensors()`; `optimizer` is new and gets its saved states."""
    _begin_optimizer(optimizer, saved)
    with torch.no_grad():
        for name, tensor in tensors().items():
            tensor.copy_(saved[name])


def check_same(path: Path, what: str, about: Mapping[str, Any], training: Mapping[str, Any]) -> None:
    """Raise UsageError if the training saved in `path` is not `training`."""
    there = about.get("training", {})
    for key, value in training.items():
        is_newer = there and key.startswith("recipe.")  # a value that recipes did not have when this was saved
        if there.get(key, value if is_newer else None) != value:
            raise UsageError(
                f"{path}: {what} with another {key} ({there.get(key)}, not {value}): "
                "choose another folder, or delete this one to start over"
            )


def _begin_optimizer(optimizer: Optimizer, saved: Mapping[str, Tensor]) -> None:
    """Give the optimizer states to copy into, only those of weights that were trained.

    They have the memory layout of their weights (such as channels last), on which fused kernels rely and which files do
    not keep.
    """
    params = [param for group in optimizer.param_groups for param in group["params"]]
    for name, value in saved.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            index, _, key = rest.partition(".")
            param = params[int(index)]
            like = param.detach() if value.shape == param.shape else value.to(param.device)
            optimizer.state[param][key] = torch.empty_like(like)


def training_id(network: Network, dataset: Dataset, recipe: Recipe, seed: int) -> dict[str, Any]:
    """What makes two trainings the same."""
    return {
        "architecture": str(network.architecture),
        "data": dataset.hash,
        "seed": seed,
        **{f"recipe.{key}": value for key, value in recipe.model_dump(mode="json").items()},
    }
