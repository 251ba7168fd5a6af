"""Training by several processes at once, on one machine or many, as `torchrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

PATIENCE = timedelta(hours=2)  # the first process may be preparing a large data set while the others wait


@dataclass(frozen=True)
class Group:
    """Which of how many processes this is; `local_rank` and `local_size` count those on this machine.

    In a group of one, every method does nothing or returns what it was given.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes files and talks to the user."""
        return self.rank == 0

    def mean(self, value: Tensor) -> Tensor:
        """The mean over all processes, put into `value`."""
        if self.size > 1:
            dist.all_reduce(value)
            value /= self.size
        return value

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes the first one's values."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def share_object(self, value: Any) -> Any:
        """The first process's `value`."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, 0)
        return box[0]

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process of each machine runs the block before the others, which then find its caches."""
        if self.size > 1 and self.local_rank > 0:
            dist.barrier()
        yield
        if self.size > 1 and self.local_rank == 0:
            dist.barrier()


def join_group() -> Group:
    """The group that `torchrun` started this process in, else a group of one. May be called again."""
    if not dist.is_available() or not dist.is_torchelastic_launched():
        return Group()
    if not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    local = (int(os.environ[name]) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    return Group(dist.get_rank(), dist.get_world_size(), *local)


def leave_group() -> None:
    """To be called at the end of the program."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


class JoinedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, which are of the same size. (torch's own needs a GPU.)"""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        wide = x.float()
        mean = _sum(wide.mean((0, 2, 3))) / dist.get_world_size()
        centred = wide - mean[:, None, None]
        variance = _sum((centred * centred).mean((0, 2, 3))) / dist.get_world_size()
        count = x.numel() // x.shape[1] * dist.get_world_size()
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr, arg-type]
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)  # type: ignore[union-attr, arg-type]
            self.num_batches_tracked += 1  # type: ignore[operator, assignment]
        normal = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        scaled: Tensor = normal * self.weight[:, None, None] + self.bias[:, None, None]
        return scaled.to(x.dtype)


class _Sum(torch.autograd.Function):
    """The sum over all processes; gradients go through it, since each process's value counts in all losses."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _sum(value: Tensor) -> Tensor:
    return _Sum.apply(value)  # type: ignore[no-untyped-call, no-any-return]


@contextmanager
def joined_batch_norm(network: nn.Module, joined: bool) -> Iterator[None]:
    """Inside it, the network's batch norms work over all processes; their parameters stay the same objects."""
    norms = [module for module in network.modules() if type(module) is nn.BatchNorm2d] if joined else []
    for norm in norms:
        norm.__class__ = JoinedBatchNorm
    try:
        yield
    finally:
        for norm in norms:
            norm.__class__ = nn.BatchNorm2d
