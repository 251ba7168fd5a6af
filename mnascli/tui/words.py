"""Numbers and states in words and signs, so that colour is never needed to understand them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mnascli.words import duration as duration

SIGNS = {"asked": "·", "running": "▶", "done": "✓", "hopeless": "∅", "failed": "✗"}
SPARKS = "▁▂▃▄▅▆▇█"


def state(name: str) -> str:
    """A trial's state, with its sign."""
    return f"{SIGNS.get(name, '?')} {name}"


def number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def milliseconds(value: float | None) -> str:
    """With as many digits as a measurement has: '0.0315 ms', '7.52 ms', '75.1 ms'."""
    if value is None:
        return "-"
    digits = 4 if value < 0.1 else 3 if value < 1 else 2 if value < 20 else 1
    return f"{value:.{digits}f} ms"


def rate(per_hour: float | None) -> str:
    """'12 an hour', or per minute if that is easier to grasp."""
    if per_hour is None:
        return "-"
    return f"{per_hour / 60:.1f}/min" if per_hour >= 300 else f"{per_hour:.1f}/h"


def clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def bar(share: float, width: int) -> str:
    """A bar of `width` cells, filled to `share` (0 to 1)."""
    filled = round(min(1.0, max(0.0, share)) * width)
    return "█" * filled + "░" * (width - filled)


def sparkline(values: Sequence[float], width: int) -> str:
    """The last `width` values as a row of blocks, scaled from the lowest to the highest."""
    shown = list(values)[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    span = high - low
    return "".join(SPARKS[int((value - low) / span * 7.999)] if span else SPARKS[3] for value in shown)
