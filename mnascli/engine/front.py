"""The trade-off that a run found: its Pareto front, and the trial to choose for any target. Reads only the state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mnascli.errors import MnasError, UsageError
from mnascli.runs import RunState, Trial
from mnascli.runs.winner import trained_in_full
from mnascli.search import front


def front_of(state: RunState, device: str) -> list[Trial]:
    """The trials for which no other is at least as fast and as accurate, on one device, fastest first."""
    by_point = {_point(trial, device): trial for trial in reversed(_usable(state, device))}
    return [by_point[point] for point in front(by_point)]


def winners(state: RunState, device: str, targets_ms: Sequence[float]) -> list[Trial | None]:
    """For each target, the most accurate trial that meets it, None if none does."""
    best = front_of(state, device)
    return [next((trial for trial in reversed(best) if trial.latency_ms[device] <= ms), None) for ms in targets_ms]


def device_of(state: RunState, device: str | None) -> str:
    """The device a front is drawn for: the run's first, if none is named. Raises UsageError, MnasError."""
    there = list(state.targets_ms)
    if not there:
        raise MnasError("this run has measured nothing yet")
    if device is not None and device not in there:
        raise UsageError(f"no device {device!r} in this run: it measured on {', '.join(there)}")
    return device or there[0]


def summary(state: RunState, device: str, targets_ms: Sequence[float]) -> dict[str, Any]:
    """Front and winners, JSON-ready. Raises MnasError if no trial gave a result."""
    points = front_of(state, device)
    if not points:
        raise MnasError("no trial of this run gave a result yet")
    chosen = zip(targets_ms, winners(state, device, targets_ms), strict=True)
    return {
        "device": device,
        "front": [_row(state, trial, device) for trial in points],
        "winners": [
            {"target_ms": ms, "winner": None if trial is None else _row(state, trial, device)} for ms, trial in chosen
        ],
    }


def _usable(state: RunState, device: str) -> list[Trial]:
    return [trial for trial in state.done() if trial.accuracy is not None and device in trial.latency_ms]


def _point(trial: Trial, device: str) -> tuple[float, float]:
    return trial.latency_ms[device], trial.accuracy or 0.0


def _row(state: RunState, trial: Trial, device: str) -> dict[str, Any]:
    """`test` is the mean over the full trainings, None if there was none."""
    tests = trained_in_full(state, trial.trial)
    return {
        "trial": trial.trial,
        "architecture": trial.architecture,
        "accuracy": trial.accuracy,
        "latency_ms": trial.latency_ms[device],
        "verdict": trial.verdict.get(device),
        "test": sum(tests) / len(tests) if tests else None,
    }
