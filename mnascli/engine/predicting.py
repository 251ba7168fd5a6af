"""Predicted latencies: the models of a run's devices, and the best candidates measured for real in the end."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence

from mnascli.devices.measuring import Latency
from mnascli.engine.benches import fitting
from mnascli.engine.benches.bench import Bench
from mnascli.engine.config import Config
from mnascli.errors import MnasError
from mnascli.runs import Run, RunState
from mnascli.search import Objective
from mnascli.search.latency_model import LatencyModel, LatencyModelError, load_latency_model
from mnascli.space import Architecture, Space

SAMPLED = 2000  # networks that are looked at before it is said that none is near the target
FEWEST_RATIOS, MOST_RATIOS = 5, 30  # trials that a correction is taken from
PREDICTED = "predicted"  # the verdict on a latency that no device has measured

Models = Mapping[str, LatencyModel]  # by the name of the bench


def predict(models: Models, architecture: Architecture) -> dict[str, float]:
    """Milliseconds by device."""
    return {device: model.predict(architecture) for device, model in models.items()}


def models_for(run: Run, config: Config, space: Space, benches: Sequence[Bench]) -> dict[str, LatencyModel]:
    models = given_models(config, space, benches)
    for bench in benches:
        if bench.name in models:
            continue
        file = run.path / f"latency-model-{bench.name}.json"
        if not file.exists():
            fitting.save(fitting.fit_on(bench, space, config.supernet.candidates), file)
        model = load_latency_model(file)
        run.append("latency_modelled", device=bench.name, file=file.name, **model.errors.model_dump())
        try:
            model.check(space, fitting.identify(bench), str(file))
        except MnasError:
            file.unlink()  # a resumed run tries again
            raise
        models[bench.name] = model
    return models


def given_models(config: Config, space: Space, benches: Sequence[Bench]) -> dict[str, LatencyModel]:
    """The models that the configuration names, checked against this space and these devices."""
    models = {}
    for bench in benches:
        file = config.supernet.latency_models.get(bench.name)
        if file is not None:
            models[bench.name] = load_latency_model(file)
            models[bench.name].check(space, fitting.identify(bench), str(file))
    return models


def near_target(
    run: Run, config: Config, space: Space, benches: Sequence[Bench]
) -> Callable[[Architecture], bool] | None:
    """Whether a network is worth trying: predicted within every target, and to use `objective.band` of one.

    Latency models are fitted near the targets where the run has none yet. Where a device cannot be modelled, a warning
    says so; then, and without a band, None: all networks are worth trying.
    """
    band, targets = config.objective.band, run.state.targets_ms
    if not band:
        return None
    try:
        models = {bench.name: _near(run, config, space, bench, targets[bench.name]) for bench in benches}
    except LatencyModelError as error:
        run.warn(f"candidates of any latency are tried: {error}")
        return None

    # One entry, the latest. By step and what of its batch is finished: a resumed run may begin in the middle of one.
    corrections: dict[tuple[int, int], dict[str, float]] = {}

    def is_near(architecture: Architecture) -> bool:
        state = run.state
        now = state.step, sum(trial.finished for trial in state.batch)
        if now not in corrections:
            corrections.clear()
            corrections[now] = {device: correction(state, device, model) for device, model in models.items()}
        predicted_ms = predict(models, architecture)
        used = [ms * corrections[now][device] / targets[device] for device, ms in predicted_ms.items()]
        return max(used) <= 1 and max(used) >= band

    rng = random.Random("is any near the target?")
    if run.state.step < 0 and not any(is_near(space.sample(rng)) for _ in range(SAMPLED)):
        run.warn(
            f"none of {SAMPLED} random networks is predicted to take from {band:.0%} of the target to all of it: "
            "candidates are tried as near as the search comes; another target or a lower objective: band has more",
        )
    return is_near


def correction(state: RunState, device: str, model: LatencyModel) -> float:
    """By what predictions of a device were too low: the median ratio of measured to predicted over the latest trials.

    1 before `FEWEST_RATIOS` of them were measured. A search moves to networks unlike those that the model was fitted
    on, and its errors there share a sign.
    """
    measured = [trial for trial in state.trials.values() if device in trial.latency_ms and trial.repeats is None]
    if len(measured) < FEWEST_RATIOS:
        return 1.0
    return statistics.median(
        trial.latency_ms[device] / model.predict(Architecture.parse(trial.architecture))
        for trial in measured[-MOST_RATIOS:]
    )


def _near(run: Run, config: Config, space: Space, bench: Bench, target_ms: float) -> LatencyModel:
    """The model of a device near a target, fitted where the run does not have it."""
    file = run.path / f"latency-model-{bench.name}.json"
    if not file.exists():
        fitting.save(fitting.fit_near(bench, space, target_ms, config.objective.candidates), file)
    model = load_latency_model(file)
    if bench.name not in run.state.modelled:
        run.append("latency_modelled", device=bench.name, file=file.name, **model.errors.model_dump())
    model.check(space, fitting.identify(bench), str(file))
    return model


def measure_best(run: Run, benches: Sequence[Bench], objective: Objective, count: int) -> None:
    """Measure until the best `count` trials are measured for real; their rewards are then the true ones.

    A trial that is slower than predicted, or cannot be measured, gives its place to the next one. Raises MnasError if
    none can be measured.
    """
    unmeasurable: set[int] = set()
    while True:
        best = [one for one in run.state.ranking() if one.trial not in unmeasurable][:count]
        predicted = [one for one in best if PREDICTED in one.verdict.values()]
        if not best and unmeasurable:
            raise MnasError(f"{run.path}: none of the {len(unmeasurable)} candidates could be measured on every device")
        if not predicted:
            return
        architectures = [Architecture.parse(trial.architecture) for trial in predicted]
        results = {bench.name: bench.measure(architectures) for bench in benches}
        for index, trial in enumerate(predicted):
            measured = {device: of_device[index] for device, of_device in results.items()}
            latencies = {device: one for device, one in measured.items() if isinstance(one, Latency)}
            if len(latencies) < len(results):
                unmeasurable.add(trial.trial)
                continue
            latency_ms = {device: one.median_ms for device, one in latencies.items()}
            verdict = {device: one.verdict for device, one in latencies.items()}
            stored = {device: one.stored_s for device, one in latencies.items() if one.stored_s is not None}
            reward = objective.reward(trial.accuracy or 0.0, latency_ms)
            values = {"latency_ms": latency_ms, "verdict": verdict, "stored": stored}
            run.append("remeasured", trial=trial.trial, reward=reward, **values)
