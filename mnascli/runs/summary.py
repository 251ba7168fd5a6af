"""What a run says about itself: the JSON of `mnas search` and the table at its end. Reads the state alone."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from mnascli.errors import MnasError
from mnascli.runs.state import RunState


def summarize(path: Path, state: RunState) -> dict[str, Any]:
    """The run's outcome, JSON-ready; `trials` counts them."""
    best = state.best()
    return {
        "run": str(path),
        "trials": len(state.trials),
        "failed": len(state.failed()),
        "hopeless": len(state.hopeless()),
        "target_ms": _single(state.targets_ms),
        "best": None
        if best is None
        else {
            "trial": best.trial,
            "architecture": best.architecture,
            "accuracy": best.accuracy,
            "latency_ms": _single(best.latency_ms),
            "reward": best.reward,
        },
        "comparison": comparison(state),
        "export": state.export,
        "validation": state.validation,
        "warnings": state.warnings,
    }


def comparison(state: RunState) -> list[dict[str, Any]]:
    """The winner and what it is compared with: test accuracies of every seed, latency by device, size."""
    rows = []
    for entry in state.compared.values():
        runs = [run for (model, _), run in state.long_runs.items() if model == entry["model"]]
        tests = [run["test"] for run in runs]
        rows.append(
            {
                **entry,
                "test": tests,
                "test_mean": statistics.mean(tests) if tests else None,
                "test_spread": statistics.stdev(tests) if len(tests) > 1 else None,
                "seeds": len(tests),
            }
        )
    return rows


def winner_of(state: RunState, path: Path) -> int:
    """The number of a run's winning trial: the exported or compared one, or the best so far. Raises MnasError."""
    for entry in state.compared.values():
        if entry["trial"] is not None:
            return int(entry["trial"])
    best = state.best()
    if best is None:
        raise MnasError(f"{path}: no trial of this run gave a result yet")
    return best.trial


def _single(by_device: dict[str, float]) -> float | dict[str, float] | None:
    """The one value where there is one device."""
    if len(by_device) == 1:
        return next(iter(by_device.values()))
    return by_device or None
