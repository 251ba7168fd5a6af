"""The summary of a run: the JSON of `mnas search` and the table at its end. Reads only the state."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from mnascli.errors import MnasError
from mnascli.runs.state import RunState, Trial
from mnascli.runs.winner import name_of, trained_in_full, winner

UNUSED = 0.1  # share of a target that a winner may leave unused without a word


def summarize(path: Path, state: RunState) -> dict[str, Any]:
    """The run's outcome, JSON-ready; `trials` counts them, `best` is the winner."""
    return {
        "run": str(path),
        "trials": len(state.trials),
        "failed": len(state.failed()),
        "hopeless": len(state.hopeless()),
        "target_ms": _single(state.targets_ms),
        "best": _facts(state, winner(state)),
        "best_by_proxy": _facts(state, state.best()),
        "comparison": comparison(state),
        "baselines": baselines(state),
        "unused": unused(state),
        "failed_long_trainings": list(state.long_failures.values()),
        "export": state.export,
        "validation": state.validation,
        "warnings": state.warnings,
    }


def unused(state: RunState) -> dict[str, Any] | None:
    """Where the winner leaves more than `UNUSED` of every target: the `share` it uses, its accuracy on the selection
    part, and the same of the most accurate finalist near the target (`near`, None if no finalist is)."""
    best = winner(state)
    if best is None or state.chosen is None or not state.targets_ms or not state.meets_targets(best.latency_ms):
        return None
    share = _used(state, best)
    if share >= 1 - UNUSED:
        return None
    selection = {
        trial: float(run["selection"])
        for trial in state.finalists
        for (model, _), run in state.long_runs.items()
        if model == name_of(trial) and "selection" in run
    }
    near = [
        state.trials[one]
        for one in selection
        if state.meets_targets(state.trials[one].latency_ms) and _used(state, state.trials[one]) >= 1 - UNUSED
    ]
    other = max(near, key=lambda trial: (selection[trial.trial], -trial.trial), default=None)
    return {
        "share": share,
        "selection": selection.get(best.trial),
        "near": None
        if other is None
        else {
            "trial": other.trial,
            "latency_ms": _single(other.latency_ms),
            "selection": selection[other.trial],
        },
    }


def unused_in_words(found: dict[str, Any]) -> str:
    """`unused` in one sentence."""
    said = f"the winner uses {found['share']:.0%} of its target"
    if found["near"] is None:
        return f"{said}; no finalist used more than {1 - UNUSED:.0%} of it"
    near = found["near"]
    return (
        f"{said}: trial {near['trial']}, the best finalist near the target, reached {near['selection']:.3f} on the "
        f"selection part, the winner {found['selection']:.3f}: the smaller network is no less accurate"
    )


def _used(state: RunState, trial: Trial) -> float:
    """The largest share of a target that a trial uses."""
    return max(trial.latency_ms[device] / target for device, target in state.targets_ms.items())


def baselines(state: RunState) -> list[dict[str, Any]]:
    """What the winner is compared with: by how many `points` of test accuracy (hundredths) the winner leads, and their
    95 % `interval`; both None before the trainings are done, and in runs of older versions."""
    lead = state.lead or {}
    return [
        {
            "model": row["model"],
            "latency_ms": _single(row["latency_ms"]),
            "accuracy": row["test_mean"],
            "points": lead.get(row["model"], {}).get("points"),
            "interval": lead.get(row["model"], {}).get("interval"),
            "seeds": row["seeds"],
        }
        for row in comparison(state)
        if row["trial"] is None
    ]


def comparison(state: RunState) -> list[dict[str, Any]]:
    """The winner and what it is compared with: test accuracies of every seed, latency by device, size."""
    rows = []
    baselines = {entry["model"] for entry in state.compared.values() if entry["trial"] is None}
    # The winner may have trainings with more seeds, to validate the proxy: here all have the same seeds.
    seeds = {seed for model, seed in state.long_runs if model in baselines}
    for entry in state.compared.values():
        of_model = [(seed, run) for (model, seed), run in state.long_runs.items() if model == entry["model"]]
        runs = [run for seed, run in of_model if not seeds or seed in seeds]
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


def winner_of(state: RunState, path: Path) -> Trial:
    """As `winner`. Raises MnasError if no trial gave a result."""
    found = winner(state)
    if found is None:
        raise MnasError(f"{path}: no trial of this run gave a result yet")
    return found


def rung_in_words(rung: dict[str, Any]) -> str:
    """How well a rung ranked those that were trained on the next one, as the event `rungs_ranked` has it."""
    tau = "too few to tell" if rung["tau"] is None else f"Kendall's tau {rung['tau']:.2f}"
    measure = "training loss" if rung["by"] == "loss" else "accuracy"
    return f"{measure} on rung {rung['rung']} ranks rung {rung['rung'] + 1}: {tau}, {rung['trials']} trials"


def _facts(state: RunState, trial: Trial | None) -> dict[str, Any] | None:
    """`accuracy` is the search's, of the short training; `test` the mean over full trainings, None before any."""
    if trial is None:
        return None
    tests = trained_in_full(state, trial.trial)
    return {
        "trial": trial.trial,
        "architecture": trial.architecture,
        "accuracy": trial.accuracy,
        "latency_ms": _single(trial.latency_ms),
        "reward": trial.reward,
        "test": statistics.mean(tests) if tests else None,
    }


def _single(by_device: dict[str, float]) -> float | dict[str, float] | None:
    """The value alone if there is only one device."""
    if len(by_device) == 1:
        return next(iter(by_device.values()))
    return by_device or None
