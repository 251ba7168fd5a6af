"""A deterministic evaluator: what a trial gives depends on its architecture and number alone."""

import hashlib
import random
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

from mnascli.engine.children.executor import Finished, Started, Task, TaskEvent, TaskFailed
from mnascli.engine.children.places import Place
from mnascli.engine.search_loop import Outcome, TrialWork
from mnascli.space import Space, make_space

DEVICE = "host"
TARGET_MS = 10.0


def small_space() -> Space:
    blocks = [{"filters": 8, "layers": 1}, {"filters": 16, "layers": 2, "stride": 2}]
    values = {"input": {"size": 16, "channels": 1}, "classes": 4, "stem": {"filters": 8}, "head": {"filters": 16}}
    return make_space({**values, "blocks": blocks}, "small")


def fate(one: TrialWork) -> random.Random:
    return random.Random(hashlib.sha256(f"{one.trial} {one.architecture}".encode()).digest())


def evaluate(work: Sequence[TrialWork]) -> Iterator[Outcome]:
    """Measures and trains in an order of its own; every ninth trial or so fails."""
    outcomes = []
    for one in work:
        rng = fate(one)
        accuracy, latency_ms, fails = rng.uniform(0.3, 0.9), rng.uniform(2.0, 20.0), rng.random() < 0.11
        measured_at, trained_at = rng.random(), rng.random()
        yield Outcome("started", one.trial, {"worker": 0})
        if one.missing_devices:
            values = {"device": DEVICE, "latency_ms": latency_ms, "p5_ms": 1.0, "p95_ms": 30.0, "verdict": "stable"}
            outcomes.append((measured_at, Outcome("measured", one.trial, {**values, "file": ""})))
        if fails:
            reason = {"stage": "train", "kind": f"kind{one.trial % 3}", "reason": "made to fail"}
            outcomes.append((trained_at, Outcome("failed", one.trial, reason)))
        elif one.needs_training:
            values = {"accuracy": accuracy, "history": [accuracy], "seconds": 1.0, "loss": 1 - accuracy}
            outcomes.append((trained_at, Outcome("trained", one.trial, values)))
    for _, outcome in sorted(outcomes, key=lambda one: one[0]):
        yield outcome


class Longer:
    """An executor for the trainings of rungs, which take no time; the longer, the better, and every tenth fails."""

    places = (Place((0,)),)

    def map(self, tasks: Sequence[Task]) -> Generator[TaskEvent, None, None]:
        for task in tasks:
            recipe, seed = task.arguments["recipe"], task.arguments["seed"]
            rng = random.Random(f"{task.arguments['architecture']} {seed}")
            yield Started(task.key, 0)
            if rng.random() < 0.1:
                yield TaskFailed(task.key, "memory", "ran out of memory")
                continue
            accuracy = rng.uniform(0.3, 0.6) + recipe.epochs / 100
            values = {"accuracy": accuracy, "history": [accuracy], "loss": 1 - accuracy, "seconds": 1.0}
            yield Finished(task.key, values)

    def reserve(self, cores: Collection[int]) -> AbstractContextManager[None]:
        return nullcontext()


class Instant:
    """An executor whose trainings take no time."""

    places = (Place((0,)),)

    def __init__(self) -> None:
        self.trained: list[int] = []

    def map(self, tasks: Sequence[Task]) -> Generator[TaskEvent, None, None]:
        for task in tasks:
            yield Started(task.key, 0)
            self.trained.append(task.key)
            yield Finished(task.key, {"accuracy": 0.5, "history": [0.5], "seconds": 0.0})

    def reserve(self, cores: Collection[int]) -> AbstractContextManager[None]:
        return nullcontext()
