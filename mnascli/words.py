"""Numbers and lists in words, the same in every front end."""

from __future__ import annotations

from collections.abc import Sequence


def listed(names: Sequence[str]) -> str:
    """'one', 'one and two', 'one, two and three'."""
    return " and ".join([*filter(None, [", ".join(names[:-1])]), *names[-1:]])


def duration(seconds: float | None) -> str:
    """'45 s', '12 min', '3 h 05 min', '2 d 4 h', '52 days', '140 years'; a dash for None."""
    if seconds is None:
        return "-"
    seconds = max(0.0, seconds)
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(round(seconds / 3600), 24)
    if days < 10:
        return f"{days} d {hours} h"
    days = round(seconds / 86400)
    return f"{days} days" if days < 730 else f"{days / 365.25:,.0f} years"
