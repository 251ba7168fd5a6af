"""What a search would do and how long it would take, from one short training and one measurement."""

from __future__ import annotations

import random
import time
from typing import Any

from mnascli import nets
from mnascli.data import Dataset
from mnascli.engine.bench import open_benches
from mnascli.engine.config import Config
from mnascli.engine.executors import LocalProcesses
from mnascli.engine.job import load_data, space_of
from mnascli.engine.one_shot import new_supernet
from mnascli.engine.targets import targets_by_device
from mnascli.space import Architecture, Space, count
from mnascli.training.loop import seconds_per_epoch
from mnascli.training.one_shot import calibrated, load_supernet, supernet_seconds_per_epoch
from mnascli.training.scoring import evaluate

SAMPLE = 15  # architectures, of which the one in the middle is timed


def estimate(config: Config) -> dict[str, Any]:
    """Trials, data, devices, and minutes. Trains nothing to an end and writes nothing.

    The network that is timed is the median in multiply-adds of some sampled ones; a search that moves to
    larger or smaller networks takes longer or less.
    """
    dataset = load_data(config)
    space = space_of(config, dataset, "config")
    rng = random.Random(config.seed)
    sampled = sorted((space.sample(rng) for _ in range(SAMPLE)), key=lambda one: count(one).multiply_adds)
    typical = sampled[SAMPLE // 2]
    epoch_s = seconds_per_epoch(nets.build(typical, config.seed), dataset, config.proxy, threads=config.threads)
    # Different kinds of devices measure at the same time, and those of a kind share the work.
    seconds: dict[str, float] = {}
    benches = open_benches(config.devices)
    try:
        if config.target_ms is not None:
            targets_by_device(config.target_ms, benches)
        for bench in benches:
            began = time.monotonic()
            bench.measure([typical])
            seconds[bench.name] = (time.monotonic() - began) / len(bench.pool.members)
    finally:
        for bench in benches:
            bench.close()
    measuring_s = max(seconds.values())
    places = LocalProcesses(config.workers, config.threads).places
    if config.evaluator == "supernet":
        supernet_s, candidate_s = _shared_seconds(config, space, dataset, typical)
    else:
        supernet_s, candidate_s = 0.0, config.proxy.epochs * epoch_s
    final = config.final
    parts = (dataset.train, dataset.validation, dataset.test)
    long_runs = final.finalists + final.seeds * (1 + len(final.compare)) - 1
    search_s = supernet_s + config.trials * candidate_s / places + _measurings(config) * measuring_s
    after_s = long_runs * final.recipe.epochs * epoch_s / places
    return {
        "data": dataset.name,
        "training, validation, test images": " / ".join(f"{len(part.labels):,}" for part in parts),
        "classes": len(dataset.classes),
        "devices": ", ".join(seconds),
        "networks in the space": f"{space.size:.3g}",
        "searcher": config.searcher.name,
        "trials": config.trials,
        "trainings at once": places,
        **({"seconds to train the supernet": round(supernet_s)} if config.evaluator == "supernet" else {}),
        f"seconds to {'judge' if config.evaluator == 'supernet' else 'train'} a candidate": round(candidate_s, 1),
        "seconds to measure a candidate": round(measuring_s, 1),
        "long trainings after it": long_runs,
        "search_minutes": round(search_s / 60, 1),
        "total_minutes": round((search_s + after_s) / 60, 1),
    }


def _measurings(config: Config) -> float:
    """How many candidates are measured while nothing else goes on."""
    settings = config.supernet
    if config.evaluator == "training" or settings.latency == "measured":
        return config.trials / 2  # measuring goes on beside the trainings
    return settings.measured + (0 if set(config.devices) <= settings.latency_models.keys() else settings.candidates)


def _shared_seconds(config: Config, space: Space, dataset: Dataset, typical: Architecture) -> tuple[float, float]:
    """How long the supernet's training and the judging of one candidate would take."""
    settings = config.supernet
    if settings.weights is not None:
        supernet, training_s = load_supernet(settings.weights, space, dataset.hash), 0.0
    else:
        supernet = new_supernet(space, config.seed)
        epoch_s = supernet_seconds_per_epoch(supernet, dataset, settings.recipe, config.seed, settings.threads)
        training_s = settings.recipe.epochs * epoch_s
    began = time.monotonic()
    evaluate(calibrated(supernet, typical, dataset), dataset.validation, dataset)
    return training_s, time.monotonic() - began
