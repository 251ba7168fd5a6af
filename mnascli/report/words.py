"""How numbers are written in a report."""

from __future__ import annotations

import math
import time

from mnascli.intervals import wilson
from mnascli.words import duration as duration


def share(value: float | None) -> str:
    """A fraction as a percentage."""
    return "-" if value is None else f"{100 * value:.1f} %"


def interval(share_right: float | None, images: int | None) -> str:
    """The 95 % interval of an accuracy measured on so many pictures (Wilson)."""
    if share_right is None or not images:
        return "-"
    low, high = wilson(share_right, images)
    return f"{share(low)} to {share(high)}"


def points(value: float | None) -> str:
    """A difference of fractions, in percentage points."""
    return "-" if value is None else f"{100 * value:.1f}"


def number(value: float | None) -> str:
    """Any number to three digits: '0.328', '4.2', '1,230'; no measurement here is more precise."""
    if value is None:
        return "-"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits)
    text = f"{rounded:,.{max(0, digits)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def ms(value: float | None) -> str:
    """Milliseconds."""
    return "-" if value is None else f"{number(value)} ms"


def amount(value: float) -> str:
    """A large count, of parameters or multiply-adds: '123 k', '7.89 M', '1.2 G'."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 0.9995 * size:
            return f"{number(value / size)} {unit}"
    return number(value)


def clock(seconds: float | None) -> str:
    """A time from the log, in UTC: a report is read elsewhere."""
    return "-" if seconds is None else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def numbers(values: tuple[int, ...], most: int = 12) -> str:
    """Some of the numbers, and how many more there are."""
    shown = ", ".join(str(value) for value in values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"
