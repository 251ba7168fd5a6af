"""What torch computes on, and how the process is set up for it."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Literal

import torch

from mnascli.errors import UsageError

DeviceChoice = Literal["auto", "cpu", "cuda", "mps"]

MOST_WORKERS = 16

# For how many shapes of convolutions oneDNN keeps what it built. With its default of 1,024, the children of a supernet
# make it build the same again and again.
ONEDNN_CACHE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"

# malloc.h of glibc
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def choose_device(choice: DeviceChoice, local_rank: int = 0) -> torch.device:
    """The torch device for a choice; 'auto' is the first available of CUDA, Apple's Metal and the CPU.

    If there are several GPUs, each process on this machine gets its own.

    Raises UsageError for a device that is not available.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if choice == "auto":
        choice = next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there.get(choice, False):
        usable = ", ".join(name for name, is_there in there.items() if is_there)
        raise UsageError(f"torch finds no {choice} on this machine: train on auto or {usable}")
    if choice == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise UsageError(
                f"process {local_rank + 1} of this machine finds no GPU: start {torch.cuda.device_count()}"
            )
        torch.cuda.set_device(local_rank)
        return torch.device("cuda", local_rank)
    return torch.device(choice)


def decoding_workers(machine: torch.device, processes: int) -> int:
    """How many processes should decode pictures for each of the `processes` that train on this machine.

    Beside an accelerator the cores have nothing else to do; on the CPU most of them train.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = cores // processes
    return max(1, min(share - 1, MOST_WORKERS) if machine.type != "cpu" else share // 4)


def set_up_process(threads: int | None) -> None:
    """Make torch fast in this process on `threads` CPU threads (None: leave their number as it is).

    All of it takes effect only if nothing was computed yet.
    """
    os.environ.setdefault(ONEDNN_CACHE, "16384")  # oneDNN reads it once, at its first convolution
    if threads is not None:
        torch.set_num_threads(threads)
    # Activations that fade to denormal numbers would slow a CPU down many times over.
    torch.set_flush_denormal(True)
    if sys.platform == "linux":
        _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let malloc keep large blocks for the next step; by default it returns each to the system and pays page faults.

    C libraries without mallopt are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 32 << 20)
        mallopt(M_TRIM_THRESHOLD, 1 << 30)
        mallopt(M_TOP_PAD, 64 << 20)
