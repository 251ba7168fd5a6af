"""What a device wrote of a measurement: trials/<trial>/latency-<device>.json, read when it is looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Latency = dict[str, Any]


def trial_folder(run: Path, trial: int) -> Path:
    return run / "trials" / f"{trial:06d}"


def read_latency(run: Path, trial: int, device: str) -> Latency | None:
    """The measurement of a trial on a device; None where there is no such file or it cannot be read."""
    try:
        value = json.loads((trial_folder(run, trial) / f"latency-{device}.json").read_text())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def conditions(latency: Latency) -> Iterator[dict[str, Any]]:
    """The conditions before and after every session, those kept and those set aside."""
    for session in sessions(latency):
        for when in ("before", "after"):
            if isinstance(session.get(when), dict):
                yield session[when]


def sessions(latency: Latency) -> list[dict[str, Any]]:
    """The sessions kept, then those set aside."""
    found = [*(latency.get("sessions") or ()), *(latency.get("set_aside") or ())]
    return [session for session in found if isinstance(session, dict)]


def span(values: list[float], unit: str, digits: int = 0) -> str:
    """'41 °C', or '41-44 °C' where they differ; '-' without any."""
    if not values:
        return "-"
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return f"{low} {unit}" if low == high else f"{low}-{high} {unit}"
