"""The main job from the data to the file, in phases; every phase goes on where a killed one ended.

target -> (supernet ->) search -> finalists (trained in full, the best on the selection part wins) -> compare -> export
-> validate (if wanted: does the short training rank?)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnascli.engine import checks, one_shot, validation
from mnascli.engine.bench import Bench
from mnascli.engine.candidate import train_fully
from mnascli.engine.evaluator import LocalEvaluator
from mnascli.engine.executors import Finished, Task, TaskFailed
from mnascli.engine.exporting import export
from mnascli.engine.job import Job
from mnascli.engine.loop import search
from mnascli.engine.targets import median_ms, scale_to_latency, targets_by_device
from mnascli.errors import MnasError, NoDeviceError
from mnascli.runs import Trial
from mnascli.search import create_searcher
from mnascli.search.objective import Objective, make_objective
from mnascli.space import Architecture, count, load


def run_all(job: Job) -> None:
    """Everything that is still to be done. Ctrl-C and kills lose nothing: `resume` goes on from there.

    Raises NoDeviceError where nothing is left to measure on.
    """
    try:
        _run_phases(job)
    except NoDeviceError as error:
        reason = f"{error}; when that is mended, go on with --resume {job.run.path}"
        job.run.append("run_stopped", reason=reason)
        raise NoDeviceError(reason) from error


def _run_phases(job: Job) -> None:
    _warn(job, checks.validation_size(job.dataset))
    _warn(job, checks.final_steps(job.dataset, job.config.final.recipe))
    _set_target(job)
    _search(job)
    winner = _choose_winner(job)
    _compare(job, winner)
    if job.config.final.export:
        _export(job, winner)
    if job.config.final.validate_proxy and job.run.state.validation is None:
        job.run.append("phase", phase="validate")
        validate_proxy(job, job.config.final.validate_proxy)
    if not job.run.state.is_finished:
        job.run.append("run_finished")


def _set_target(job: Job) -> None:
    if job.run.state.targets_ms:
        return
    job.run.append("phase", phase="target")
    if job.config.target_ms is not None:
        targets = targets_by_device(job.config.target_ms, job.benches)
        for bench in job.benches:
            _warn(job, checks.reachable(bench, job.space, targets[bench.name]))
        job.run.append("target_set", target_ms=targets, objective=job.config.objective.kind, why="given")
        return
    reference = job.config.target_from
    architecture = job.space.adapt(load(reference.model).on(width=reference.width))
    label = f"{reference.model} x{reference.width:g}"
    latency_ms = {bench.name: median_ms(bench.measure([architecture])[0], label) for bench in job.benches}
    job.run.append("reference_measured", model=label, architecture=str(architecture), latency_ms=latency_ms)
    why = f"the latency of {label}"
    job.run.append("target_set", target_ms=latency_ms, objective=job.config.objective.kind, why=why)


def _warn(job: Job, message: str | None) -> None:
    """Log a warning that the log does not have yet."""
    if message is not None and message not in job.run.state.warnings:
        job.run.append("warned", message=message)


def _search(job: Job) -> None:
    config, run, objective = job.config, job.run, _objective(job)
    if config.evaluator == "supernet":
        if run.state.phase == "target" and config.supernet.weights is None:
            run.append("phase", phase="supernet")
        shared = one_shot.prepare(run, config, job.space, job.dataset, job.benches, objective)
        searcher = shared.searcher
        evaluate = one_shot.evaluator(shared, job.space, job.data, config, job.benches, job.executor, run)
    else:
        searcher = create_searcher(config.searcher.name, job.space, config.seed, **config.searcher.options)
        training = {"data": job.data, "recipe": config.proxy}
        evaluate = LocalEvaluator(job.benches, job.executor, training, config.seed, run.trial_folder)
    if run.state.phase in ("target", "supernet"):
        run.append("phase", phase="search")
    search(
        run,
        searcher,
        evaluate,
        objective,
        trials=config.trials,
        batch=config.batch,
        failures=config.failures_in_a_row,
    )


def _objective(job: Job) -> Objective:
    return make_objective({**job.config.objective.model_dump(), "target_ms": job.run.state.targets_ms})


def _choose_winner(job: Job) -> Trial:
    """Train the best few in full; the most accurate on the selection part, which the search never saw, wins.

    The validation part would favour whoever was lucky on it; no test picture takes part either.
    """
    run = job.run
    if run.state.phase == "search" and job.config.evaluator == "supernet":
        one_shot.measure_best(run, job.benches, _objective(job), job.config.supernet.measured)
    measured = [one for one in run.state.ranking() if one_shot.PREDICTED not in one.verdict.values()]
    finalists = measured[: job.config.final.finalists]
    if not finalists:
        raise MnasError(f"{run.path}: no trial gave a result; see the failures with `mnas runs show {run.path.name}`")
    if run.state.phase == "search":
        run.append("phase", phase="finalists")
    train_in_full(job, [(f"trial-{one.trial}", one.architecture, one.trial, job.config.seed) for one in finalists])

    def selection(trial: Trial) -> float:
        return float(run.state.long_runs[f"trial-{trial.trial}", job.config.seed]["selection"])

    return max(finalists, key=lambda trial: (selection(trial), -trial.trial))


def validate_proxy(job: Job, candidates: int) -> dict[str, Any]:
    """Train a spread of trials in full (what is trained already is not again): did the proxy rank them?"""
    seed = job.config.seed
    chosen = validation.spread(job.run.state, candidates)
    train_in_full(job, [(f"trial-{one.trial}", one.architecture, one.trial, seed) for one in chosen])
    outcome = validation.judge(job.run.state, chosen, seed, len(job.dataset.selection.labels))
    job.run.append("validated", **outcome)
    return outcome


def _compare(job: Job, winner: Trial) -> None:
    """The winner beside published networks scaled to its latency, trained alike and measured in one go.

    The winner of a supernet begins with its share of that, where finalists do; the published ones begin anew.
    """
    run, config = job.run, job.config
    if run.state.phase == "finalists":
        run.append("phase", phase="compare")
    bench = job.benches[0]
    entries: dict[str, tuple[str, int | None]] = {f"trial-{winner.trial}": (winner.architecture, winner.trial)}
    for model in config.final.compare:
        known = next((one for name, one in run.state.compared.items() if name.startswith(f"{model} ")), None)
        if known is not None:
            entries[known["model"]] = (known["architecture"], None)
            continue
        width, architecture = scale_to_latency(bench, job.space, model, winner.latency_ms[bench.name])
        entries[f"{model} x{width:g}"] = (str(architecture), None)
    if not entries.keys() <= run.state.compared.keys():
        _measure_together(job, entries)
    seeds = [config.seed + n for n in range(config.final.seeds)]
    train_in_full(job, [(name, *entry, seed) for seed in seeds for name, entry in entries.items()])


def _measure_together(job: Job, entries: dict[str, tuple[str, int | None]]) -> None:
    architectures = [Architecture.parse(text) for text, _ in entries.values()]
    by_device = {
        bench.name: [
            median_ms(result, name) for name, result in zip(entries, fresh(bench).measure(architectures), strict=True)
        ]
        for bench in job.benches
    }
    for index, (name, (text, trial)) in enumerate(entries.items()):
        cost = count(architectures[index])
        job.run.append(
            "compared",
            model=name,
            architecture=text,
            trial=trial,
            latency_ms={device: times[index] for device, times in by_device.items()},
            parameters=cost.parameters,
            multiply_adds=cost.multiply_adds,
        )


def train_in_full(job: Job, wanted: Sequence[tuple[str, str, int | None, int]]) -> None:
    """Long trainings (name, architecture, trial, seed) that the log does not have yet, several at once."""
    run = job.run
    missing = [one for one in wanted if (one[0], one[3]) not in run.state.long_runs]
    tasks = []
    inherited = one_shot.inherited(run, job.config, job.space)
    for key, (name, text, trial, seed) in enumerate(missing):
        folder = run.path / "trained" / f"{name.replace(' ', '-')}-seed{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        arguments = {
            "architecture": text,
            "data": job.data,
            "recipe": job.config.final.recipe,
            "seed": seed,
            "folder": folder,
            "supernet": inherited if trial is not None else None,
        }
        tasks.append(Task(key, train_fully, arguments, folder / "stderr.txt"))
    for event in job.executor.map(tasks):
        if isinstance(event, TaskFailed):
            output = tasks[event.key].output
            raise MnasError(f"the training of {missing[event.key][0]} failed: {event.reason}; see {output}")
        if isinstance(event, Finished):
            name, text, trial, seed = missing[event.key]
            checkpoint = str(Path(event.value.pop("checkpoint")).relative_to(run.path))
            values = {"architecture": text, "trial": trial, "checkpoint": checkpoint, **event.value}
            run.append("long_trained", model=name, seed=seed, **values)


def _export(job: Job, winner: Trial) -> None:
    run = job.run
    if run.state.export is not None:
        return
    run.append("phase", phase="export")
    trained = run.state.long_runs[f"trial-{winner.trial}", job.config.seed]
    file = run.path / "export" / f"{run.path.name}.tflite"
    file.parent.mkdir(exist_ok=True)
    benches = [fresh(bench) for bench in job.benches]
    exported = export(run.path / trained["checkpoint"], file, job.dataset, benches)
    run.append("exported", trial=winner.trial, **{**exported, "file": str(file.relative_to(run.path))})


def fresh(bench: Bench) -> Bench:
    """The same bench without memory: everything is measured now."""
    return replace(bench, store=None)
