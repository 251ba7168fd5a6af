"""What a search would do and how long it would take, from one short training and one measurement."""

from __future__ import annotations

import random
import time
from typing import Any

from mnascli import nets
from mnascli.engine.bench import open_benches
from mnascli.engine.config import Config
from mnascli.engine.executors import LocalProcesses
from mnascli.engine.job import load_data, space_of
from mnascli.engine.targets import targets_by_device
from mnascli.space import count
from mnascli.training.loop import seconds_per_epoch

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
    final = config.final
    parts = (dataset.train, dataset.validation, dataset.test)
    long_runs = final.finalists + final.seeds * (1 + len(final.compare)) - 1
    search_s = config.trials * (config.proxy.epochs * epoch_s / places + measuring_s / 2)
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
        "seconds to train a candidate": round(config.proxy.epochs * epoch_s, 1),
        "seconds to measure a candidate": round(measuring_s, 1),
        "long trainings after it": long_runs,
        "search_minutes": round(search_s / 60, 1),
        "total_minutes": round((search_s + after_s) / 60, 1),
    }
