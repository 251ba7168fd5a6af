"""The main job from the data to the file, in phases; every phase resumes where a killed one ended.

target -> (sweep ->) (supernet ->) search -> finalists (trained in full, one wins) -> compare -> export -> validate (if
wanted: does the short training rank?). More trials for a finished run repeat all phases from the search on; if the
winner is then beaten, what was made for it is made again.
"""

from __future__ import annotations

from mnascli.engine import checks, finals, search_loop, shared_weights
from mnascli.engine.evaluator import LocalEvaluator
from mnascli.engine.export.tflite import export
from mnascli.engine.opening import Search
from mnascli.engine.predicting import measure_best, near_target
from mnascli.engine.rungs import Rungs, ranked
from mnascli.engine.sweep import sweep
from mnascli.engine.targets import of_model, targets_by_device
from mnascli.errors import NoDeviceError
from mnascli.runs import Trial
from mnascli.runs.winner import name_of
from mnascli.search import create_searcher
from mnascli.search.objective import Objective, make_objective


def run_all(search: Search) -> None:
    """Do everything that remains. Ctrl-C and kills lose nothing: `resume` continues from there.

    Raises NoDeviceError if nothing is left to measure on.
    """
    try:
        _run_phases(search)
    except NoDeviceError as error:
        reason = f"{error}; when that is fixed, continue with --resume {search.run.path}"
        search.run.append("run_stopped", reason=reason)
        raise NoDeviceError(reason) from error


def _run_phases(search: Search) -> None:
    for note in search.space.notes:
        search.run.warn(note)
    search.run.warn(checks.validation_size(search.dataset))
    search.run.warn(checks.final_steps(search.dataset, search.config.final.recipe))
    search.run.warn(checks.finalists(search.config.final.finalists, search.config.trials))
    _set_target(search)
    sweep(search)
    _search(search)
    winner = finals.choose_winner(search)
    finals.compare(search, winner)
    if search.config.final.export:
        _export(search, winner)
    if search.config.final.validate_proxy and search.run.state.validation is None:
        search.run.enter("validate")
        finals.validate_proxy(search, search.config.final.validate_proxy)
    if not search.run.state.is_finished:
        search.run.append("run_finished")


def _set_target(search: Search) -> None:
    if search.run.state.targets_ms:
        return
    search.run.enter("target")
    if search.config.target_ms is not None:
        targets = targets_by_device(search.config.target_ms, search.benches)
        for bench in search.benches:
            search.run.warn(checks.reachable(bench, search.space, targets[bench.name]))
        search.run.append("target_set", target_ms=targets, objective=search.config.objective.kind, why="given")
        return
    reference = search.config.target_from
    architecture = search.space.baseline(reference.model, reference.width)
    label = f"{reference.model} x{reference.width:g}"
    measured = {bench.name: of_model(bench.measure([architecture])[0], label) for bench in search.benches}
    latency_ms = {device: one.median_ms for device, one in measured.items()}
    stored = {device: one.stored_s for device, one in measured.items() if one.stored_s is not None}
    verdict = {device: one.verdict for device, one in measured.items()}
    values = {"latency_ms": latency_ms, "verdict": verdict, "stored": stored}
    search.run.append("reference_measured", model=label, architecture=str(architecture), **values)
    why = f"the latency of {label}"
    search.run.append("target_set", target_ms=latency_ms, objective=search.config.objective.kind, why=why)


def _search(search: Search) -> None:
    config, run, objective = search.config, search.run, _objective(search)
    if config.evaluator == "supernet":
        if run.state.phase in ("target", "sweep") and config.supernet.weights is None:
            run.enter("supernet")
        shared = shared_weights.prepare(run, config, search.space, search.dataset, search.benches, objective)
        searcher = shared.searcher
        evaluate = shared_weights.evaluator(
            shared, search.space, search.data, config, search.benches, search.executor, run
        )
    else:
        searcher = create_searcher(config.searcher.name, search.space, config.seed, **config.searcher.options)
        training = {"data": search.data, "recipe": config.proxy}
        evaluate = LocalEvaluator(
            search.benches, search.executor, training, config.seed, run.trial_folder, timeout_s=config.trial_timeout_s
        )
    rungs = Rungs(
        config.rungs, config.proxy, search.executor, {"data": search.data}, config.seed, run.trial_folder,
        config.trial_timeout_s,
    )  # fmt: skip
    if run.state.phase in ("target", "sweep", "supernet") or len(run.state.trials) < config.trials:
        run.enter("search")
    is_wanted = near_target(run, config, search.space, search.benches)
    search_loop.search(
        run,
        searcher,
        evaluate,
        objective,
        trials=config.trials,
        batch=config.batch,
        failures=config.failures_in_a_row,
        climb=rungs.climb,
        is_wanted=is_wanted,
    )
    if config.rungs and (order := ranked(run.state, config.rungs)) != run.state.rungs_ranked:
        run.append("rungs_ranked", rungs=order)
    if config.evaluator == "supernet":
        measure_best(run, search.benches, objective, config.supernet.measured)


def _objective(search: Search) -> Objective:
    values = search.config.objective.model_dump(exclude={"band", "candidates"})
    return make_objective({**values, "target_ms": search.run.state.targets_ms})


def _export(search: Search, winner: Trial) -> None:
    run = search.run
    if run.state.export is not None:
        return
    run.enter("export")
    trained = run.state.long_runs[name_of(winner.trial), search.config.seed]
    file = run.path / "export" / f"{run.path.name}.tflite"
    file.parent.mkdir(exist_ok=True)
    benches = [finals.fresh(bench) for bench in search.benches]
    exported = export(run.path / trained["checkpoint"], file, search.dataset, benches)
    run.append("exported", trial=winner.trial, **{**exported, "file": str(file.relative_to(run.path))})
