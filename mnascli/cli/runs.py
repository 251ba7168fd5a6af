"""`mnas runs`: all runs, and the results of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnascli.cli.completion import complete_run
from mnascli.cli.output import RUNS, JsonOption, RunsOption, in_words, print_json, print_table
from mnascli.errors import TargetMissedError

if TYPE_CHECKING:
    from mnascli.runs import RunState

RunArgument = Annotated[str, typer.Argument(metavar="RUN", autocompletion=complete_run, help="A run's name or folder.")]

app = typer.Typer(
    no_args_is_help=True,
    help="Searches that were run, and their trials.\n\nExample: mnas runs show demo",
)

STORED = " (store)"


@app.command("list")
def list_runs(runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """List the runs, the latest first.

    Example: mnas runs list
    """
    from mnascli.runs import RunError, read_state, standing
    from mnascli.runs import list_runs as find
    from mnascli.runs.winner import winner

    entries: list[dict[str, Any]] = []
    for path in find(runs):
        try:
            state = read_state(path)
        except RunError as error:
            entries.append({"run": path.name, "state": "damaged", "problem": str(error)})
            continue
        best = winner(state)
        word = standing(path, state)
        problem = state.stopped or (f"resume with mnas search --resume {path.name}" if word == "interrupted" else "")
        entry = {"run": path.name, "state": word, "phase": state.phase, "trials": len(state.done())}
        entry |= {"failed": len(state.failed()), "best_accuracy": best.accuracy if best else None, "problem": problem}
        entries.append(entry)
    if as_json:
        print_json({"runs": entries})
    else:
        columns = ("run", "state", "phase", "trials", "failed", "best_accuracy", "problem")
        print_table(columns, [[entry.get(column) for column in columns] for entry in entries], one_line=True)


@app.command("front")
def show_front(
    run: RunArgument,
    target_ms: Annotated[
        list[float] | None, typer.Option("--target-ms", min=0, help="Also name the winner for this target; repeated.")
    ] = None,
    device: Annotated[str | None, typer.Option("--device", help="Whose latencies (default: the run's first).")] = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Show the run's trade-off, and winners for several targets.

    Example: mnas runs front demo --target-ms 20
    """
    from mnascli.engine.front import device_of, summary
    from mnascli.runs import UNSURE_MEANS, find_run, mark, read_state

    path = find_run(run, runs)
    state = read_state(path)
    found = summary(state, device_of(state, device), target_ms or [])
    if as_json:
        print_json({"run": str(path), **found})
    else:
        columns = ("trial", "latency_ms", "accuracy", "test", "architecture")
        print_table(
            columns,
            [_front_row(row, columns) for row in found["front"]],
            f"On {found['device']}:",
            one_line=True,
        )
        if any(mark(row["verdict"]) for row in found["front"]):
            print(UNSURE_MEANS)
        if found["winners"]:
            rows = [[one["target_ms"], *_winner(one["winner"], columns)] for one in found["winners"]]
            print_table(("target_ms", *columns), rows, title="\nThe most accurate within each target:", one_line=True)
            print(f"\ntrain one in full with `mnas train {path.name}:TRIAL`, export it with `mnas export`")
    missed = [f"{one['target_ms']:g}" for one in found["winners"] if one["winner"] is None]
    if missed:
        fastest_ms = found["front"][0]["latency_ms"]
        raise TargetMissedError(
            f"no trial of {path.name} meets {', '.join(missed)} ms: the fastest takes {fastest_ms:.3f} ms; "
            "search with that target"
        )


@app.command("validate")
def validate(
    run: RunArgument,
    candidates: Annotated[int, typer.Option("--candidates", min=4, help="How many are trained in full.")] = 10,
    seeds: Annotated[int, typer.Option("--seeds", min=2, help="Full trainings of each, each with a seed.")] = 2,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Train some candidates in full: did the short training rank them?

    The answer is Kendall's tau between the accuracies of the short and of the long training: it should be significant
    and at least 0.65. They share neither seed nor pictures. Beside it is the ceiling: the tau of long trainings with
    those of another seed. The run itself does not change; the outcome is added to its log and its report.

    Example: mnas runs validate demo
    """
    from mnascli.cli.progress import SearchProgress
    from mnascli.engine import finals
    from mnascli.engine.opening import reopen
    from mnascli.engine.validation import verdict
    from mnascli.runs import find_run

    path = find_run(run, runs)
    opened = reopen(path)
    try:
        with SearchProgress(opened.config, opened.run):
            outcome = finals.validate_proxy(opened, candidates, seeds)
    finally:
        opened.close()
    if as_json:
        print_json({"run": str(path), **outcome})
        return
    columns = ("trial", "proxy", "full", "architecture")
    print_table(columns, [[row[column] for column in columns] for row in outcome["candidates"]], one_line=True)
    print(f"\n{verdict(outcome)}")


def _winner(row: dict[str, Any] | None, columns: tuple[str, ...]) -> list[Any]:
    return [None] * len(columns) if row is None else _front_row(row, columns)


def _front_row(row: dict[str, Any], columns: tuple[str, ...]) -> list[Any]:
    from mnascli.runs import mark

    sign = mark(row["verdict"])
    return [f"{sign}{row[column]:.3f}" if column == "latency_ms" and sign else row[column] for column in columns]


@app.command("show")
def show(
    run: RunArgument,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Show a run's trials, and what happened to its devices.

    Example: mnas runs show demo
    """
    from dataclasses import asdict

    from mnascli.runs import (
        UNSURE_MEANS,
        any_unsure,
        find_run,
        mark,
        read_state,
        standing,
        trial_standing,
    )
    from mnascli.runs.summary import rung_in_words, summarize

    path = find_run(run, Path(runs))
    state = read_state(path)
    word = standing(path, state)
    if as_json:
        trials = [
            {
                "trial": trial.trial,
                "state": trial_standing(trial, word),
                "architecture": trial.architecture,
                "accuracy": trial.accuracy,
                "rung": trial.rung,
                "rungs": trial.rungs,
                "estimate": state.estimate(trial),
                "latency_ms": trial.latency_ms,
                "verdict": trial.verdict,
                "stored": trial.stored,
                "reward": trial.reward,
                "failure": trial.failure,
                "test": _test(state, trial.trial),
                "winner": trial.trial == state.chosen,
            }
            for trial in state.trials.values()
        ]
        devices = [asdict(device) for device in state.devices.values()]
        how = {"state": word, "phase": state.phase, "trials": trials, "devices": devices, "paused": state.paused}
        print_json({**summarize(path, state), **how, "rungs_ranked": state.rungs_ranked})
        return
    several = len({device for trial in state.trials.values() for device in trial.latency_ms}) > 1
    rows = []
    for trial in state.trials.values():
        latency = " ".join(
            f"{device}=" * several + f"{mark(trial.verdict.get(device))}{ms:.3f}{STORED * (device in trial.stored)}"
            for device, ms in trial.latency_ms.items()
        )
        what = trial_standing(trial, word) + (", winner" if trial.trial == state.chosen else "")
        last = trial.failure["reason"] if trial.failure else trial.architecture
        climbed = (trial.rung, state.estimate(trial)) if state.promoted else ()
        numbers = (trial.accuracy, *climbed, _test(state, trial.trial), latency or None, trial.reward)
        rows.append((trial.trial, what, *numbers, last))
    of_rungs = ("rung", "estimate") if state.promoted else ()
    columns = ("trial", "state", "accuracy", *of_rungs, "test", "latency_ms", "reward", "architecture")
    print_table(columns, rows, one_line=True)
    if any_unsure(trial.verdict for trial in state.trials.values()):
        print(UNSURE_MEANS)
    if any(trial.stored for trial in state.trials.values()):
        print(f"{STORED.strip()}: measured before on the same device, and looked up in the store")
    for one in state.rungs_ranked:
        print(rung_in_words(one))
    if state.devices:
        about = [
            (one.device, one.name, one.serial, one.state, one.measured, one.losses, one.reason)
            for one in state.devices.values()
        ]
        columns = ("latencies", "device", "serial", "state", "measured", "lost", "why")
        print_table(columns, about, title="\nDevices:", one_line=True)
    print(f"\n{_best(state)}")
    targets = in_words(state.targets_ms)
    phase = "" if state.is_finished else f", in phase {state.phase}"
    print(f"target: {targets or 'not set yet'}; {word}{phase}")
    if word == "interrupted":
        print(f"resume with: mnas search --resume {path}")
    for device, reason in state.paused.items():
        print(f"paused: {device}: {reason}")
    if state.stopped:
        print(f"stopped: {state.stopped}")


def _test(state: RunState, trial: int) -> float | None:
    """The mean test accuracy of a trial's full trainings, None if it had none."""
    from statistics import fmean

    from mnascli.runs.winner import trained_in_full

    return fmean(tests) if (tests := trained_in_full(state, trial)) else None


def _best(state: RunState) -> str:
    """Who won, in a line."""
    from mnascli.runs.winner import winner

    best = winner(state)
    if best is None:
        return "winner: none yet: no trial has given a result"
    test = _test(state, best.trial)
    full = "" if test is None else f", {test:.3f} on test after full training"
    said = "winner" if state.chosen is not None else "best so far"
    accuracy = "-" if best.accuracy is None else f"{best.accuracy:.3f}"
    latency = in_words(best.latency_ms, best.verdict)
    return f"{said}: trial {best.trial}: accuracy {accuracy} in the search{full}, {latency}"
