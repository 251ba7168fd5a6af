"""How numbers are written in a report."""

from __future__ import annotations

import math
import time
from statistics import NormalDist

from mnascli.words import duration as duration


def share(value: float | None) -> str:
    """A fraction as a percentage."""
    return "-" if value is None else f"{100 * value:.1f} %"


def interval(share_right: float | None, images: int | None) -> str:
    """Where an accuracy lies with 95 % certainty, known from so many pictures (Wilson's interval)."""
    if share_right is None or not images:
        return "-"
    z = NormalDist().inv_cdf(0.975)
    middle = (share_right + z * z / (2 * images)) / (1 + z * z / images)
    half = z / (1 + z * z / images) * math.sqrt(share_right * (1 - share_right) / images + (z / (2 * images)) ** 2)
    return f"{share(middle - half)} to {share(middle + half)}"


def points(value: float | None) -> str:
    """A difference of fractions, in percentage points."""
    return "-" if value is None else f"{100 * value:.1f}"


def ms(value: float | None) -> str:
    """Milliseconds to three digits, which is more than a measurement holds."""
    return "-" if value is None else f"{value:.3g} ms" if value < 100 else f"{value:,.0f} ms"


def clock(seconds: float | None) -> str:
    """A time of the log, in UTC: a report is read elsewhere."""
    return "-" if seconds is None else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def numbers(values: tuple[int, ...], most: int = 12) -> str:
    """Some numbers, and how many more there are."""
    shown = ", ".join(str(value) for value in values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"
