"""`mnas runs`: the runs there are, and what came of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mnascli.cli.output import RUNS, JsonOption, RunsOption, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="Searches that were run, and their trials.")


@app.command("list")
def list_runs(runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """List the runs, the latest first. Example: mnas runs list"""
    from mnascli.runs import RunError, read_state
    from mnascli.runs import list_runs as find

    entries: list[dict[str, Any]] = []
    for path in find(runs):
        try:
            state = read_state(path)
        except RunError as error:
            entries.append({"run": path.name, "state": "damaged", "problem": str(error)})
            continue
        best = state.best()
        word = "finished" if state.is_finished else "stopped" if state.stopped else state.phase
        entry = {"run": path.name, "state": word, "trials": len(state.done()), "failed": len(state.failed())}
        entries.append({**entry, "best_accuracy": best.accuracy if best else None, "problem": state.stopped or ""})
    if as_json:
        print_json({"runs": entries})
    else:
        columns = ("run", "state", "trials", "failed", "best_accuracy", "problem")
        print_table(columns, [[entry.get(column) for column in columns] for entry in entries])


@app.command("show")
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name or folder.")],
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Show a run's trials and results. Example: mnas runs show demo"""
    from mnascli.engine.summary import summarize
    from mnascli.runs import find_run, read_state

    path = find_run(run, Path(runs))
    state = read_state(path)
    if as_json:
        trials = [
            {
                "trial": trial.trial,
                "state": trial.state,
                "architecture": trial.architecture,
                "accuracy": trial.accuracy,
                "latency_ms": trial.latency_ms,
                "verdict": trial.verdict,
                "reward": trial.reward,
                "failure": trial.failure,
            }
            for trial in state.trials.values()
        ]
        print_json({**summarize(path, state), "trials": trials})
        return
    rows = []
    for trial in state.trials.values():
        latency = " ".join(f"{device}={ms:.3f}" for device, ms in trial.latency_ms.items())
        last = trial.failure["reason"] if trial.failure else trial.architecture
        rows.append((trial.trial, trial.state, trial.accuracy, latency, trial.reward, last))
    print_table(("trial", "state", "accuracy", "latency_ms", "reward", "architecture"), rows)
    targets = ", ".join(f"{device} {ms:.3f} ms" for device, ms in state.targets_ms.items())
    print(f"\ntarget: {targets or 'not set yet'}; phase: {state.phase}")
    if state.stopped:
        print(f"stopped: {state.stopped}")
