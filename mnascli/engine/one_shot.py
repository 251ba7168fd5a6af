"""`evaluator: supernet`: one training for all candidates, instead of one for each.

In the run directory: `supernet/supernet.safetensors` (kept, and used again by other searches), `supernet/policy.json`
(what the architecture steps learnt, where there were any) and `latency-model-<device>.json`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mnascli.data import Dataset
from mnascli.devices.measuring import Latency
from mnascli.engine import latency
from mnascli.engine.bench import Bench
from mnascli.engine.candidate import DataRequest, judge_child
from mnascli.engine.config import Config
from mnascli.engine.evaluator import LocalEvaluator
from mnascli.engine.executors import LocalProcesses
from mnascli.engine.loop import Evaluate, Job, Outcome
from mnascli.errors import MnasError
from mnascli.nets.supernet import Supernet
from mnascli.runs import Run, write_atomically
from mnascli.search import Objective, Result, Searcher, create_searcher
from mnascli.search.latency_model import LatencyModel, load_latency_model
from mnascli.space import Architecture, Space
from mnascli.training.one_shot import Guide, Uniform, load_supernet, save_supernet, train_supernet

PREDICTED = "predicted"  # the verdict on a latency that no device has measured

Models = Mapping[str, LatencyModel]  # by the name of the bench


@dataclass(frozen=True)
class OneShot:
    """What the search needs: the trained supernet's file, and latency models where candidates are not measured."""

    file: Path
    models: Models
    searcher: Searcher


class Rewarded:
    """TuNAS's guide: a policy of independent logits that learns from accuracy and predicted latency."""

    learns = True

    def __init__(self, policy: Searcher, objective: Objective, models: Models) -> None:
        self.policy, self.objective, self.models = policy, objective, models

    def sample(self, step: int) -> Architecture:
        return self.policy.ask(1)[0]

    def learn(self, architecture: Architecture, accuracy: float) -> None:
        latency_ms = predict(self.models, architecture)
        self.policy.tell([Result(architecture, self.objective.reward(accuracy, latency_ms), accuracy, latency_ms)])

    def state(self) -> Any:
        return self.policy.state_dict()

    def restore(self, state: Any) -> None:
        self.policy.load_state_dict(state)


def predict(models: Models, architecture: Architecture) -> dict[str, float]:
    """Milliseconds by device."""
    return {device: model.predict(architecture) for device, model in models.items()}


def check(config: Config, space: Space, dataset: Dataset, benches: Sequence[Bench]) -> None:
    """Find out before a run begins that a supernet or latency model to be used again does not fit. Raises MnasError."""
    if config.evaluator == "supernet":
        _given_models(config, space, benches)
        if config.supernet.weights is not None:
            load_supernet(config.supernet.weights, space, dataset.hash)


def prepare(
    run: Run, config: Config, space: Space, dataset: Dataset, benches: Sequence[Bench], objective: Objective
) -> OneShot:
    """Latency models and supernet, made where the run does not have them yet; goes on where a kill ended it.

    Raises LatencyModelError where a device cannot be modelled, UsageError for files of another space, device or data.
    """
    settings = config.supernet
    wants_models = settings.latency == "model" or (settings.sampling == "reward" and settings.weights is None)
    models = _models(run, config, space, benches) if wants_models else {}
    searcher = create_searcher(config.searcher.name, space, config.seed, **config.searcher.options)
    file = supernet_file(run, config)
    if settings.weights is None:
        guide: Guide = Uniform(space, config.seed)
        if settings.sampling == "reward":
            policy = create_searcher("reinforce", space, config.seed, **settings.policy)
            guide, searcher = Rewarded(policy, objective, models), policy
        if not file.exists():
            _train(run, config, space, dataset, guide, file)
        guide.restore(json.loads((file.parent / "policy.json").read_text()))
    return OneShot(file, models if settings.latency == "model" else {}, searcher)


def supernet_file(run: Run, config: Config) -> Path:
    return config.supernet.weights or run.path / "supernet" / "supernet.safetensors"


def inherited(run: Run, config: Config, space: Space) -> tuple[Path, Space] | None:
    """The supernet that long trainings of trials begin with, None where they begin with new weights."""
    return (supernet_file(run, config), space) if config.inherits else None


def evaluator(
    one_shot: OneShot,
    space: Space,
    data: DataRequest,
    config: Config,
    benches: Sequence[Bench],
    executor: LocalProcesses,
    run: Run,
) -> Evaluate:
    """Judges candidates by their share of the supernet, and by the latency models where there are any."""
    child = {"data": data, "recipe": config.proxy, "supernet": one_shot.file, "space": space}
    measured = [] if one_shot.models else benches
    timeout_s = config.trial_timeout_s
    judge = LocalEvaluator(measured, executor, child, config.seed, run.trial_folder, judge_child, timeout_s)

    def evaluate(jobs: Sequence[Job]) -> Iterator[Outcome]:
        for job in jobs:
            for device, milliseconds in predict(one_shot.models, job.architecture).items():
                if device in job.missing_devices:
                    yield Outcome("predicted", job.trial, {"device": device, "latency_ms": milliseconds})
        yield from judge(jobs)

    return evaluate


def measure_best(run: Run, benches: Sequence[Bench], objective: Objective, count: int) -> None:
    """Measure for real until the best `count` trials are, their rewards then being the true ones.

    A trial that is slower than was predicted gives its place to the next one, and one that cannot be measured too.
    Raises MnasError where none can be measured.
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


def new_supernet(space: Space, seed: int) -> Supernet:
    """An untrained supernet, whose weights depend on space and seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return Supernet(space)


def _train(run: Run, config: Config, space: Space, dataset: Dataset, guide: Guide, file: Path) -> None:
    """Train a supernet, resumably."""
    began = time.monotonic()

    def on_epoch(epoch: int, loss: float) -> None:
        run.append("supernet_epoch", epoch=epoch, loss=loss, seconds=round(time.monotonic() - began, 1))

    settings = config.supernet
    folder = file.parent
    supernet = new_supernet(space, config.seed)
    train_supernet(
        supernet,
        dataset,
        settings.recipe,
        guide,
        warmup=settings.warmup,
        seed=config.seed,
        threads=settings.threads,
        folder=folder,
        on_epoch=on_epoch,
    )
    write_atomically(folder / "policy.json", json.dumps(guide.state()).encode())
    save_supernet(file, supernet, dataset, settings.recipe)
    run.append("supernet_trained", file=str(file.relative_to(run.path)), epochs=settings.recipe.epochs)


def _models(run: Run, config: Config, space: Space, benches: Sequence[Bench]) -> dict[str, LatencyModel]:
    models = _given_models(config, space, benches)
    for bench in benches:
        if bench.name in models:
            continue
        file = run.path / f"latency-model-{bench.name}.json"
        if not file.exists():
            latency.save(latency.fit_on(bench, space, config.supernet.candidates), file)
        model = load_latency_model(file)
        run.append("latency_modelled", device=bench.name, file=file.name, **model.errors.model_dump())
        try:
            model.check(space, latency.identify(bench), str(file))
        except MnasError:
            file.unlink()  # a resumed run tries again
            raise
        models[bench.name] = model
    return models


def _given_models(config: Config, space: Space, benches: Sequence[Bench]) -> dict[str, LatencyModel]:
    """The models that the configuration names, checked against this space and these devices."""
    models = {}
    for bench in benches:
        file = config.supernet.latency_models.get(bench.name)
        if file is not None:
            models[bench.name] = load_latency_model(file)
            models[bench.name].check(space, latency.identify(bench), str(file))
    return models
