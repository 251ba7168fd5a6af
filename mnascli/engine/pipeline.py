"""The main job from the data to the file, in phases; every phase goes on where a killed one ended.

target -> (supernet ->) search -> finalists (trained in full, one wins) -> compare -> export -> validate (if wanted:
does the short training rank?). More trials for a finished run go through all from the search on; what was made for a
winner that is beaten then is made anew.
"""

from __future__ import annotations

from mnascli.engine import checks, finals, one_shot
from mnascli.engine.evaluator import LocalEvaluator
from mnascli.engine.exporting import export
from mnascli.engine.job import Job
from mnascli.engine.loop import search
from mnascli.engine.targets import of_model, targets_by_device
from mnascli.errors import NoDeviceError
from mnascli.runs import Trial
from mnascli.runs.winner import name_of
from mnascli.search import create_searcher
from mnascli.search.objective import Objective, make_objective
from mnascli.space import load


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
    for note in job.space.notes:
        job.warn(note)
    job.warn(checks.validation_size(job.dataset))
    job.warn(checks.final_steps(job.dataset, job.config.final.recipe))
    _set_target(job)
    _search(job)
    winner = finals.choose_winner(job)
    finals.compare(job, winner)
    if job.config.final.export:
        _export(job, winner)
    if job.config.final.validate_proxy and job.run.state.validation is None:
        job.run.enter("validate")
        finals.validate_proxy(job, job.config.final.validate_proxy)
    if not job.run.state.is_finished:
        job.run.append("run_finished")


def _set_target(job: Job) -> None:
    if job.run.state.targets_ms:
        return
    job.run.enter("target")
    if job.config.target_ms is not None:
        targets = targets_by_device(job.config.target_ms, job.benches)
        for bench in job.benches:
            job.warn(checks.reachable(bench, job.space, targets[bench.name]))
        job.run.append("target_set", target_ms=targets, objective=job.config.objective.kind, why="given")
        return
    reference = job.config.target_from
    architecture = job.space.adapt(load(reference.model).on(width=reference.width))
    label = f"{reference.model} x{reference.width:g}"
    measured = {bench.name: of_model(bench.measure([architecture])[0], label) for bench in job.benches}
    latency_ms = {device: one.median_ms for device, one in measured.items()}
    stored = {device: one.stored_s for device, one in measured.items() if one.stored_s is not None}
    verdict = {device: one.verdict for device, one in measured.items()}
    values = {"latency_ms": latency_ms, "verdict": verdict, "stored": stored}
    job.run.append("reference_measured", model=label, architecture=str(architecture), **values)
    why = f"the latency of {label}"
    job.run.append("target_set", target_ms=latency_ms, objective=job.config.objective.kind, why=why)


def _search(job: Job) -> None:
    config, run, objective = job.config, job.run, _objective(job)
    if config.evaluator == "supernet":
        if run.state.phase == "target" and config.supernet.weights is None:
            run.enter("supernet")
        shared = one_shot.prepare(run, config, job.space, job.dataset, job.benches, objective)
        searcher = shared.searcher
        evaluate = one_shot.evaluator(shared, job.space, job.data, config, job.benches, job.executor, run)
    else:
        searcher = create_searcher(config.searcher.name, job.space, config.seed, **config.searcher.options)
        training = {"data": job.data, "recipe": config.proxy}
        evaluate = LocalEvaluator(
            job.benches, job.executor, training, config.seed, run.trial_folder, timeout_s=config.trial_timeout_s
        )
    if run.state.phase in ("target", "supernet") or len(run.state.trials) < config.trials:
        run.enter("search")
    search(
        run,
        searcher,
        evaluate,
        objective,
        trials=config.trials,
        batch=config.batch,
        failures=config.failures_in_a_row,
    )
    if config.evaluator == "supernet":
        one_shot.measure_best(run, job.benches, objective, config.supernet.measured)


def _objective(job: Job) -> Objective:
    return make_objective({**job.config.objective.model_dump(), "target_ms": job.run.state.targets_ms})


def _export(job: Job, winner: Trial) -> None:
    run = job.run
    if run.state.export is not None:
        return
    run.enter("export")
    trained = run.state.long_runs[name_of(winner.trial), job.config.seed]
    file = run.path / "export" / f"{run.path.name}.tflite"
    file.parent.mkdir(exist_ok=True)
    benches = [finals.fresh(bench) for bench in job.benches]
    exported = export(run.path / trained["checkpoint"], file, job.dataset, benches)
    run.append("exported", trial=winner.trial, **{**exported, "file": str(file.relative_to(run.path))})
