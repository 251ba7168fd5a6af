"""A device's file about a measurement, read when it is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mnascli.runs.directory import latency_file, trial_folder

Measurement = dict[str, Any]  # as `devices.measuring.Latency` writes itself


def read_latency(run: Path, trial: int, device: str) -> Measurement | None:
    """The measurement of a trial on a device; None if there is no such file or it cannot be read."""
    try:
        value = json.loads(latency_file(trial_folder(run, trial), device).read_text())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def conditions(latency: Measurement) -> Iterator[dict[str, Any]]:
    """The conditions before and after every session, those kept and those set aside."""
    for session in sessions(latency):
        for when in ("before", "after"):
            if isinstance(session.get(when), dict):
                yield session[when]


def sessions(latency: Measurement) -> list[dict[str, Any]]:
    """The sessions kept, then those set aside."""
    found = [*(latency.get("sessions") or ()), *(latency.get("set_aside") or ())]
    return [session for session in found if isinstance(session, dict)]


def span(values: list[float], unit: str, digits: int = 0) -> str:
    """'41 °C', or '41-44 °C' where they differ; '-' without any."""
    if not values:
        return "-"
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return f"{low} {unit}" if low == high else f"{low}-{high} {unit}"
