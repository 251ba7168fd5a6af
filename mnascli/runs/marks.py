"""How every face says of a latency that it is not sure, and that it was not measured now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

UNSURE = "~"
UNSURE_MEANS = f"{UNSURE} is unsure: the sessions of its measurement did not agree (unstable), or it was only predicted"


def mark(verdict: str | None) -> str:
    """'~' before a latency with that verdict, '' before one that is stable; older logs have none of some latencies."""
    return UNSURE if verdict not in (None, "stable") else ""


def any_unsure(verdicts: Iterable[Mapping[str, str]]) -> bool:
    """Whether one of several verdicts by device needs the mark, and a face so has to say what it means."""
    return any(mark(verdict) for by_device in verdicts for verdict in by_device.values())


def age(stored_s: float | None, now_s: float | None) -> str:
    """'from the store, measured 3 h before', of a latency that was measured at `stored_s`; '' for one that is new."""
    if stored_s is None:
        return ""
    if now_s is None or now_s < stored_s:
        return "from the store"
    minutes = round((now_s - stored_s) / 60)
    return f"from the store, measured {f'{minutes} min' if minutes < 60 else f'{minutes / 60:.0f} h'} before"
