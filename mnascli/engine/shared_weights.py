"""`evaluator: supernet`: one training for all candidates, instead of one for each.

In the run directory: `supernet/supernet.safetensors` (kept, and reusable by other searches), `supernet/policy.json`
(what the architecture steps learned, if there were any) and `latency-model-<device>.json`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mnascli.data import Dataset
from mnascli.engine.benches.bench import Bench
from mnascli.engine.children.executor import Executor
from mnascli.engine.children.work import judge_child
from mnascli.engine.config import Config
from mnascli.engine.evaluator import LocalEvaluator
from mnascli.engine.predicting import Models, given_models, models_for, predict
from mnascli.engine.search_loop import Evaluate, Outcome, TrialWork
from mnascli.nets.supernet import Supernet
from mnascli.runs import Run, write_atomically
from mnascli.search import Objective, Result, Searcher, create_searcher
from mnascli.space import Architecture, Space
from mnascli.training.pictures import DataRequest
from mnascli.training.supernet import Guide, Uniform, load_supernet, save_supernet, train_supernet


@dataclass(frozen=True)
class SharedWeights:
    """What the search needs: the trained supernet's file, and latency models if candidates are not measured."""

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


def check(config: Config, space: Space, dataset: Dataset, benches: Sequence[Bench]) -> None:
    """Find out before a run begins that a supernet or latency model to reuse does not fit. Raises MnasError."""
    if config.evaluator == "supernet":
        given_models(config, space, benches)
        if config.supernet.weights is not None:
            load_supernet(config.supernet.weights, space, dataset.hash)


def prepare(
    run: Run, config: Config, space: Space, dataset: Dataset, benches: Sequence[Bench], objective: Objective
) -> SharedWeights:
    """Latency models and supernet, made if the run does not have them yet; resumes where a kill ended it.

    Raises LatencyModelError if a device cannot be modelled, UsageError for files of another space, device or data.
    """
    settings = config.supernet
    wants_models = settings.latency == "model" or (settings.sampling == "reward" and settings.weights is None)
    models = models_for(run, config, space, benches) if wants_models else {}
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
    return SharedWeights(file, models if settings.latency == "model" else {}, searcher)


def supernet_file(run: Run, config: Config) -> Path:
    return config.supernet.weights or run.path / "supernet" / "supernet.safetensors"


def inherited(run: Run, config: Config, space: Space) -> tuple[Path, Space] | None:
    """The supernet that long trainings of trials begin with, None if they begin with new weights."""
    return (supernet_file(run, config), space) if config.inherits else None


def evaluator(
    shared: SharedWeights,
    space: Space,
    data: DataRequest,
    config: Config,
    benches: Sequence[Bench],
    executor: Executor,
    run: Run,
) -> Evaluate:
    """Evaluates candidates with their share of the supernet, and with the latency models if there are any."""
    child = {"data": data, "recipe": config.proxy, "supernet": shared.file, "space": space}
    measured = [] if shared.models else benches
    timeout_s = config.trial_timeout_s
    judge = LocalEvaluator(measured, executor, child, config.seed, run.trial_folder, judge_child, timeout_s)

    def evaluate(work: Sequence[TrialWork]) -> Iterator[Outcome]:
        for one in work:
            for device, milliseconds in predict(shared.models, one.architecture).items():
                if device in one.missing_devices:
                    yield Outcome("predicted", one.trial, {"device": device, "latency_ms": milliseconds})
        yield from judge(work)

    return evaluate


def new_supernet(space: Space, seed: int) -> Supernet:
    """An untrained supernet, whose weights depend only on space and seed."""
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
