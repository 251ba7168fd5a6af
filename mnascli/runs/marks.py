"""How every face marks a latency that is uncertain, or that was not measured just now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

UNSURE = "~"
UNSURE_MEANS = f"{UNSURE} means unsure: the sessions of a measurement disagree (unstable), or it is only predicted"


def mark(verdict: str | None) -> str:
    """'~' before a latency with that verdict, '' before a stable one; older logs lack the verdict of some latencies."""
    return UNSURE if verdict not in (None, "stable") else ""


def any_unsure(verdicts: Iterable[Mapping[str, str]]) -> bool:
    """Whether one of several verdicts by device needs the mark, so that a face has to explain it."""
    return any(mark(verdict) for by_device in verdicts for verdict in by_device.values())


def age(stored_s: float | None, now_s: float | None) -> str:
    """'from the store, measured 3 h earlier', for a latency that was measured at `stored_s`; '' for a new one."""
    if stored_s is None:
        return ""
    if now_s is None or now_s < stored_s:
        return "from the store"
    minutes = round((now_s - stored_s) / 60)
    return f"from the store, measured {f'{minutes} min' if minutes < 60 else f'{minutes / 60:.0f} h'} earlier"
