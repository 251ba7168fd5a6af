"""The cores of this machine."""

from __future__ import annotations

import os


def usable_cores() -> list[int]:
    """The cores of this machine that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
