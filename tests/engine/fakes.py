"""A deterministic evaluator: what a trial gives depends on its architecture and number alone."""

import hashlib
import random
from collections.abc import Generator, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

from mnascli.engine.executors import Finished, Started, Task, TaskEvent
from mnascli.engine.loop import Job, Outcome
from mnascli.space import Space, make_space

DEVICE = "host"
TARGET_MS = 10.0


def small_space() -> Space:
    blocks = [{"filters": 8, "layers": 1}, {"filters": 16, "layers": 2, "stride": 2}]
    values = {"input": {"size": 16, "channels": 1}, "classes": 4, "stem": {"filters": 8}, "head": {"filters": 16}}
    return make_space({**values, "blocks": blocks}, "small")


def fate(job: Job) -> random.Random:
    return random.Random(hashlib.sha256(f"{job.trial} {job.architecture}".encode()).digest())


def evaluate(jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Measures and trains in an order of its own; every ninth trial or so fails."""
    outcomes = []
    for job in jobs:
        rng = fate(job)
        accuracy, latency_ms, fails = rng.uniform(0.3, 0.9), rng.uniform(2.0, 20.0), rng.random() < 0.11
        measured_at, trained_at = rng.random(), rng.random()
        yield Outcome("started", job.trial, {"worker": 0})
        if job.missing_devices:
            values = {"device": DEVICE, "latency_ms": latency_ms, "p5_ms": 1.0, "p95_ms": 30.0, "verdict": "stable"}
            outcomes.append((measured_at, Outcome("measured", job.trial, {**values, "file": ""})))
        if fails:
            reason = {"stage": "train", "kind": f"kind{job.trial % 3}", "reason": "made to fail"}
            outcomes.append((trained_at, Outcome("failed", job.trial, reason)))
        elif job.needs_training:
            values = {"accuracy": accuracy, "history": [accuracy], "seconds": 1.0}
            outcomes.append((trained_at, Outcome("trained", job.trial, values)))
    for _, outcome in sorted(outcomes, key=lambda one: one[0]):
        yield outcome


class Instant:
    """An executor whose trainings take no time."""

    def __init__(self) -> None:
        self.trained: list[int] = []

    def map(self, tasks: Sequence[Task]) -> Generator[TaskEvent, None, None]:
        for task in tasks:
            yield Started(task.key, 0)
            self.trained.append(task.key)
            yield Finished(task.key, {"accuracy": 0.5, "history": [0.5], "seconds": 0.0})

    def reserve(self, core: int | None) -> Any:
        return nullcontext()
