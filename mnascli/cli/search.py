"""`mnas search`: the main job, from the data and a latency target to a .tflite file that meets it."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnascli.cli.completion import complete_device, complete_run, complete_template
from mnascli.cli.output import RUNS, JsonOption, RunsOption, in_words, print_json, print_table, say
from mnascli.errors import StoppedByUserError, TargetMissedError, UsageError
from mnascli.interrupts import AGAIN, saying
from mnascli.runs import UNSURE_MEANS, any_unsure, mark
from mnascli.runs.directory import check_name
from mnascli.runs.starting import announced

if TYPE_CHECKING:
    from mnascli.engine.opening import Search

LOOKING = "looking at the data and the devices"


def search(
    template: Annotated[
        str | None,
        typer.Option(
            "--template",
            "-t",
            envvar="MNAS_TEMPLATE",
            autocompletion=complete_template,
            help="A shipped template or a .yaml file (default: quick).",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", envvar="MNAS_CONFIG", help="A YAML file over the template.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", envvar="MNAS_DATA", help="A data set's name or a folder, one sub-folder a class."),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            envvar="MNAS_DEVICE",
            autocompletion=complete_device,
            help="Device to measure on; may be repeated.",
        ),
    ] = None,
    target_ms: Annotated[
        list[str] | None,
        typer.Option("--target-ms", envvar="MNAS_TARGET_MS", help="Latency target in ms, or DEVICE=MS, repeated."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option("--size", envvar="MNAS_SIZE", help="Pixels of the pictures; the space's strides follow it."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", envvar="MNAS_CLUSTER", help="Train on a Ray cluster: its address, or auto."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", envvar="MNAS_TRIALS", min=1, help="Candidates to try.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", envvar="MNAS_SEED", min=0, help="Seed of the search.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run (default: template and time).")] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", autocompletion=complete_run, help="Resume a run.")
    ] = None,
    monitor: Annotated[
        bool, typer.Option("--monitor", help="Watch it live; the search continues when you leave the monitor.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run and for how long, and stop.")] = False,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Search for the most accurate network within a latency target.

    Candidates are measured on the device and trained briefly; a controller learns from both. The best are trained in
    full, compared with published networks, and the winner is exported and measured again. Everything is kept in
    RUNS/NAME: after Ctrl-C, a crash or a power cut --resume continues and nothing is lost. Without --target-ms the
    target is the latency of the template's reference network. Exit code 4: the exported file misses its target.

    Example: mnas search --data ./pictures --target-ms 75

    Example: mnas search --template quick --dry-run

    Example: mnas search --resume pictures --trials 200

    Example: mnas search --data ./pictures --target-ms 75 --monitor
    """
    if resume is not None and any((template, config, data, device, target_ms, size, cluster, name, seed, dry_run)):
        raise UsageError("--resume uses the run's own configuration: the only other option it takes is --trials")
    flags = {
        "data": data,
        "devices": device or None,
        "target_ms": parse_targets(target_ms or []),
        "trials": trials,
        "seed": seed,
        "cluster": cluster,
        "executor": "ray" if cluster else None,
    }
    if dry_run:
        _dry_run(template, config, flags, size, as_json)
        return
    if monitor:
        from mnascli.cli.watching import search_and_watch

        if as_json:
            raise UsageError("--monitor shows the search and --json prints its result: give only one of them")
        raise typer.Exit(search_and_watch(resume, name or _default_name(template, config), runs))
    if resume:
        opened = _open(resume, trials, runs)
    else:
        name = name or _default_name(template, config)
        check_name(name)
        with announced(runs / name):
            opened = _begin(template, config, flags, size, runs / name)
    path = opened.run.path
    try:
        with saying(f"stopping: all results are kept; the current measurement ends first; {AGAIN}"):
            _print_plan(opened)
            _run(opened)
    except KeyboardInterrupt:
        go_on = shlex.join(["mnas", "search", "--resume", str(path)])
        raise StoppedByUserError(f"interrupted; nothing is lost: resume with '{go_on}'") from None
    finally:
        opened.close()
    _report(opened, as_json)


def parse_targets(texts: list[str]) -> float | dict[str, float] | None:
    """A target for all devices, or one for each. Raises UsageError for anything but milliseconds."""
    targets: dict[str, float] = {}
    for text in texts:
        device, _, number = text.rpartition("=")
        try:
            targets[device] = float(number)
        except ValueError:
            raise UsageError(f"--target-ms {text}: milliseconds were expected, as in 75 or pixel=75") from None
    if "" in targets and len(texts) > 1:
        raise UsageError("--target-ms: give one number, or DEVICE=MS for each device")
    return targets.get("", targets or None)


def _begin(template: str | None, config: Path | None, flags: dict[str, Any], size: int | None, path: Path) -> Search:
    from mnascli.cli.progress import Working
    from mnascli.engine.config import resolve
    from mnascli.engine.opening import begin

    resolved = resolve(template, config, flags, size)
    if "devices" not in resolved.model_fields_set:
        say("no device was named: measuring on this machine (host); --device names another")
    with Working(LOOKING):
        return begin(resolved, path)


def _print_plan(opened: Search) -> None:
    """What will happen, before it happens."""
    from mnascli.engine.outlook import facts, lines

    for what, words in lines(facts(opened.config, opened.dataset, opened.space, opened.benches)):
        say(f"{what:<10} {words}")
    done = sum(trial.finished for trial in opened.run.state.trials.values())
    say(f"{'run':<10} {opened.run.path}{f', {done} of its trials finished' if done else ''}")


def _default_name(template: str | None, config: Path | None) -> str:
    from mnascli.engine.config import DEFAULT_TEMPLATE

    stem = Path(template or (config.stem if config else DEFAULT_TEMPLATE)).stem
    return f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"


def _open(name: str, trials: int | None, runs: Path) -> Search:
    from mnascli.cli.progress import Working
    from mnascli.engine.opening import resume
    from mnascli.runs import find_run

    with Working(LOOKING):
        return resume(find_run(name, runs), trials)


def _run(opened: Search) -> None:
    from mnascli.cli.progress import SearchProgress
    from mnascli.engine.phases import run_all

    with SearchProgress(opened.config, opened.run):
        run_all(opened)


def _dry_run(template: str | None, config: Path | None, flags: dict[str, Any], size: int | None, as_json: bool) -> None:
    from mnascli.cli.progress import Working
    from mnascli.engine.config import resolve
    from mnascli.engine.estimate import estimate
    from mnascli.engine.outlook import lines
    from mnascli.space import Space

    resolved = resolve(template, config, flags, size)
    for note in Space(resolved.space).notes:
        say(f"warning: {note}")
    with Working("timing a few steps of training and a measurement"):
        plan = estimate(resolved)
    if as_json:
        print_json(plan)
        return
    for what, words in lines(plan):
        print(f"{what:<10} {words}")
    for warning in plan["warnings"]:
        say(f"warning: {warning}")


def _report(opened: Search, as_json: bool) -> None:
    from mnascli.runs.summary import summarize

    state, path, tolerance = opened.run.state, opened.run.path, opened.config.final.tolerance
    summary = summarize(path, state)
    if as_json:
        print_json(summary)
    else:
        how = "trained alike, except for inherited weights," if opened.config.inherits else "all trained alike,"
        _print_report(summary, path, f"Target {in_words(state.targets_ms)}; {how} measured together:")
    export = state.export
    if export is not None and not state.meets_targets(export["latency_ms"], tolerance):
        raise TargetMissedError(
            f"the exported file takes {in_words(export['latency_ms'])}, the target is {in_words(state.targets_ms)} "
            f"(tolerance {tolerance:.0%}): try --trials {2 * len(state.trials)} with --resume {path}"
        )


def lead_in_words(baseline: dict[str, Any] | None) -> str | None:
    """The points by which the found network is ahead of a baseline, with their 95 % interval."""
    if baseline is None or baseline["points"] is None:
        return None
    low, high = baseline["interval"]
    return f"{baseline['points']:+.1f} points [{low:+.1f}, {high:+.1f}]"


def _print_report(summary: dict[str, Any], path: Path, title: str) -> None:
    from mnascli.runs.summary import unused_in_words

    best, by_proxy = summary["best"], summary["best_by_proxy"]
    leads = {one["model"]: one for one in summary["baselines"]}
    rows = []
    for entry in summary["comparison"]:
        spread = f" ± {entry['test_spread']:.3f}" if entry["test_spread"] is not None else ""
        test = f"{entry['test_mean']:.3f}{spread}" if entry["test_mean"] is not None else "-"
        latencies, verdict = entry["latency_ms"], entry.get("verdict", {})
        latency = " ".join(
            f"{device} " * (len(latencies) > 1) + f"{mark(verdict.get(device))}{ms:.3f}"
            for device, ms in latencies.items()
        )
        lead = lead_in_words(leads.get(entry["model"]))
        rows.append((entry["model"], test, lead, latency, f"{entry['parameters']:,}", f"{entry['multiply_adds']:,}"))
    seeds = max((entry["seeds"] for entry in summary["comparison"]), default=0)
    columns = ("model", f"test accuracy ({seeds} seeds)", "winner's lead", "latency ms", "parameters", "mult-adds")
    print_table(columns, rows, title=f"\n{title}")
    for failure in summary["failed_long_trainings"]:
        print(f"the training of {failure['model']} (seed {failure['seed']}) failed: {failure['reason']}")
    if best is not None:
        print(f"\nfound:   trial {best['trial']}: {best['architecture']}")
    if by_proxy is not None and best is not None and by_proxy["trial"] != best["trial"]:
        print(f"         (trial {by_proxy['trial']} was the best by its short training)")
    if summary["unused"] is not None:
        print(f"         {unused_in_words(summary['unused'])}")
    if summary["export"] is not None:
        export = summary["export"]
        again = in_words(export["latency_ms"], export.get("verdict"))
        print(f"file:    {path / export['file']} ({export['size_mb']:.2f} MB; measured again: {again})")
        print(f"         largest difference to the trained network {export['max_abs_difference']:.2g}")
    entries = [*summary["comparison"], summary["export"] or {}]
    if any_unsure(entry.get("verdict", {}) for entry in entries):
        print(f"         {UNSURE_MEANS}")
    print(f"run:     {path}   (mnas runs show {path.name})")
