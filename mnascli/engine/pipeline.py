"""The main job from the data to the file, in phases; every phase goes on where a killed one ended.

target -> (supernet ->) search -> finalists (trained in full, the best on the selection part wins) -> compare -> export
-> validate (if wanted: does the short training rank?)
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mnascli.data import Dataset
from mnascli.devices.pool import News
from mnascli.devices.store import LatencyStore
from mnascli.engine import checks, one_shot, validation
from mnascli.engine import config as configuration
from mnascli.engine.bench import Bench, open_benches
from mnascli.engine.candidate import DataRequest, train_fully
from mnascli.engine.config import Config
from mnascli.engine.evaluator import LocalEvaluator
from mnascli.engine.executors import Finished, LocalProcesses, Task, TaskFailed
from mnascli.engine.exporting import export
from mnascli.engine.loop import search
from mnascli.engine.targets import median_ms, scale_to_latency, targets_by_device
from mnascli.errors import MnasError, NoDeviceError
from mnascli.runs import Run, Trial, create_run, open_run, read_meta
from mnascli.search import create_searcher
from mnascli.search.objective import Objective, make_objective
from mnascli.space import Architecture, Space, count, load, make_space


@dataclass
class Job:
    """A search with all that it works with."""

    run: Run
    config: Config
    dataset: Dataset
    space: Space
    benches: list[Bench]
    executor: LocalProcesses

    @property
    def data(self) -> DataRequest:
        return data_request(self.config, self.space)

    def close(self) -> None:
        _close(self.benches)
        self.run.close()


def data_request(config: Config, space: Space) -> DataRequest:
    size = space.config.input
    return DataRequest(config.data, size.size, size.channels, config.on_broken_image)


def space_of(config: Config, dataset: Dataset, source: str) -> Space:
    """The configured space, for the pictures and classes of the data."""
    space = make_space(config.space.model_dump(), source)
    return space.on(channels=dataset.channels, classes=len(dataset.classes))


def load_data(config: Config) -> Dataset:
    """The configured data at the space's input size. Raises MnasError or UsageError naming the folder or file."""
    request = DataRequest(config.data, config.space.input.size, config.channels, config.on_broken_image)
    return request.load(config.final.recipe)


def begin(config: Config, path: Path) -> Job:
    """Start a run at `path`. Nothing is written before data, space and devices were found to be there."""
    dataset = load_data(config)
    space = space_of(config, dataset, "config")
    benches = open_benches(config.devices, LatencyStore())
    try:
        if config.target_ms is not None:
            targets_by_device(config.target_ms, benches)
        create_searcher(config.searcher.name, space, config.seed, **config.searcher.options)
        _check_references(config, space)
        one_shot.check(config, space, dataset, benches)
        run = create_run(path, configuration.dump(config), _meta(config, space, dataset))
    except BaseException:
        _close(benches)
        raise
    return _job(run, config, dataset, space, benches)


def resume(path: Path, trials: int | None = None) -> Job:
    """Go on with a run, with more trials if given. Raises as `reopen`, and NoDeviceError."""
    job = reopen(path, trials)
    try:
        devices = job.run.state.devices.values()
        known = {name: one.device for one in devices for name in (one.asked, one.serial)}
        benches = open_benches(job.config.devices, LatencyStore(), known)
        job.run.append("run_resumed", trials=job.config.trials)
        return _job(job.run, job.config, job.dataset, job.space, benches)
    except BaseException:
        job.close()
        raise


def reopen(path: Path, trials: int | None = None) -> Job:
    """A run to go on writing, without its devices. Raises RunError if it is none, MnasError if its data changed."""
    run = open_run(path)
    try:
        config = configuration.load(path / "config.yaml")
        if trials is not None:
            config = config.model_copy(update={"trials": trials})
        dataset = load_data(config)
        meta = read_meta(path)
        if meta["data_hash"] != dataset.hash:
            raise MnasError(f"{config.data}: the data changed since {path} was started: its results would not compare")
        space = space_of(config, dataset, str(path / "config.yaml"))
        return _job(run, config, dataset, space, [])
    except BaseException:
        run.close()
        raise


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
        job.run.append("target_set", target_ms=targets, why="given")
        return
    reference = job.config.target_from
    architecture = job.space.adapt(load(reference.model).on(width=reference.width))
    label = f"{reference.model} x{reference.width:g}"
    latency_ms = {bench.name: median_ms(bench.measure([architecture])[0], label) for bench in job.benches}
    job.run.append("reference_measured", model=label, architecture=str(architecture), latency_ms=latency_ms)
    job.run.append("target_set", target_ms=latency_ms, why=f"the latency of {label}")


def _warn(job: Job, message: str | None) -> None:
    """Log a warning that the log does not have yet."""
    if message is not None and message not in job.run.state.warnings:
        job.run.append("warned", message=message)


def _search(job: Job) -> None:
    config, run, objective = job.config, job.run, _objective(job)
    if config.evaluator == "supernet":
        if run.state.phase == "target":
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
    """The winner beside published networks scaled to its latency, all trained alike and measured in one go."""
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


def _close(benches: Sequence[Bench]) -> None:
    for bench in benches:
        bench.close()


def _job(run: Run, config: Config, dataset: Dataset, space: Space, benches: list[Bench]) -> Job:
    opened = []
    for bench in benches:
        bench.tell = _teller(run, bench.name)
        profile = bench.pool.profile.name
        for member in bench.pool.members:
            values = {"name": member.device.name, "serial": member.device.serial, "asked": member.asked}
            opened.append({"device": bench.name, "profile": profile, **values})
    if opened:
        run.append("devices_opened", devices=opened)
    executor = LocalProcesses(config.workers, config.threads, config.trial_timeout_s)
    return Job(run, config, dataset, space, benches, executor)


def _teller(run: Run, device: str) -> Callable[[News], None]:
    return lambda news: run.append(news.kind, **news.values(device))


def _check_references(config: Config, space: Space) -> None:
    """Find out now, and not after hours, that a model is unknown or does not fit the space's skeleton."""
    names = list(config.final.compare)
    if config.target_ms is None:
        names.append(config.target_from.model)
    for name in names:
        space.adapt(load(name))


def _meta(config: Config, space: Space, dataset: Dataset) -> dict[str, Any]:
    packages = ("mnas", "torch", "ai-edge-litert", "numpy")
    return {
        "command": sys.argv,
        "seed": config.seed,
        "space_hash": space.hash,
        "data_hash": dataset.hash,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: version(name) for name in packages},
    }
