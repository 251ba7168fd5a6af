"""Where children run: cores, and at most one GPU each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from mnascli.errors import UsageError


@dataclass(frozen=True)
class Place:
    """Where one child runs at a time. `gpu` is what CUDA_VISIBLE_DEVICES is set to, None: only cores."""

    cores: tuple[int, ...]
    gpu: str | None = None


def places_of(
    cores: Sequence[int],
    gpus: Sequence[str] = (),
    *,
    threads: int = 1,
    per_gpu: int = 1,
    most: int | None = None,
) -> tuple[Place, ...]:
    """The places of a machine with these cores and GPUs, at most `most`.

    With GPUs there are `per_gpu` places on each, the first place of every GPU before the second of any, and the cores
    are divided among the places to decode pictures. Without GPUs, each place has `threads` cores.
    """
    if not gpus:
        count = min(max(1, len(cores) // threads), most or len(cores))
        # The highest core is the one that measures: giving it to the last place keeps the other places off it.
        return tuple(Place(tuple(cores[n * threads : (n + 1) * threads])) for n in range(count))
    count = min(len(gpus) * per_gpu, most or len(gpus) * per_gpu)
    return tuple(Place(_share(cores, n, count), gpus[n % len(gpus)]) for n in range(count))


def _share(cores: Sequence[int], number: int, count: int) -> tuple[int, ...]:
    """The cores of one of `count` places; with fewer cores than places some share one."""
    if len(cores) < count:
        return (cores[number % len(cores)],)
    return tuple(cores[number * len(cores) // count : (number + 1) * len(cores) // count])


def visible_gpus(wanted: int | None = None) -> tuple[str, ...]:
    """The GPUs that torch finds here, as CUDA_VISIBLE_DEVICES names them; `wanted` of them, None: all.

    Does not start CUDA in this process, so that children can still be forked. Raises UsageError for more than exist.
    """
    if wanted == 0:
        return ()
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    gpus = tuple(name.strip() for name in named.split(",")) if named else tuple(str(n) for n in range(count))
    gpus = gpus[:count]
    if wanted is not None and wanted > len(gpus):
        raise UsageError(f"gpus: {wanted}: torch finds {len(gpus) or 'none'} here: lower it, or see `mnas doctor`")
    return gpus[:wanted]
