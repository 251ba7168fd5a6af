"""How long a search would take, from a few steps of training and one measurement."""

from __future__ import annotations

import math
import random
import time
from typing import Any

from mnascli import nets
from mnascli.data import Dataset
from mnascli.engine import checks
from mnascli.engine.benches.bench import Bench, open_benches
from mnascli.engine.config import Config
from mnascli.engine.opening import check_names, data_request, space_of
from mnascli.engine.outlook import facts, too_long
from mnascli.engine.shared_weights import new_supernet
from mnascli.engine.targets import median_ms
from mnascli.space import Architecture, Space, count
from mnascli.training.scoring import evaluate
from mnascli.training.supernet import calibrated, load_supernet, supernet_seconds_per_epoch
from mnascli.training.timing import seconds_per_epoch, shortened, timed

SAMPLE_NEAR = 1000
SAMPLE = 15  # architectures, the median of which is timed
CALIBRATED = 2000  # images, for a child of a supernet


def estimate(config: Config) -> dict[str, Any]:
    """The facts of a search with its minutes and warnings, from a few pictures, steps and one measurement.

    Finishes no training, writes nothing, and takes seconds, whatever the size of pictures, networks and data.
    The network that is timed is the median in multiply-adds of some sampled ones; a search that moves to larger or
    smaller networks takes more or less time.
    """
    request = data_request(config)
    shown = request.preview(config.proxy)
    dataset = shown.dataset
    space = space_of(config, dataset, "config")
    check_names(config, space)
    rng = random.Random(config.seed)
    sampled = sorted((space.sample(rng) for _ in range(SAMPLE)), key=lambda one: count(one).multiply_adds)
    typical = sampled[SAMPLE // 2]
    # Devices of different kinds measure at the same time, and those of one kind share the work.
    seconds: list[float] = []
    near: Architecture | None = None  # where only networks near the target are tried: one of their multiply-adds
    benches = open_benches(config.devices)
    try:
        known = facts(config, dataset, space, benches, exact=shown.exact)
        for bench in benches:
            began = time.monotonic()
            measured = bench.measure([typical])
            seconds.append((time.monotonic() - began) / len(bench.pool.members))
            if config.objective.band and bench is benches[0]:
                share = _target_ms(config, space, bench, known) / median_ms(measured[0], "a sampled network")
                near = _near(space, share * count(typical).multiply_adds, rng)
    finally:
        for bench in benches:
            bench.close()
    typical = near or typical
    measuring_s, places = max(seconds), known["trainings at once"]
    shared = config.evaluator == "supernet"
    if shared:
        supernet_s, candidate_s = _shared_seconds(config, space, dataset, typical)
        epoch_s = 0.0  # of a candidate: none is trained
    else:
        epoch_s = seconds_per_epoch(nets.build(typical, config.seed), dataset, config.proxy, threads=config.threads)
        supernet_s, candidate_s = 0.0, config.proxy.epochs * epoch_s
    rungs_s = sum(
        math.ceil(config.trials / config.batch) * math.ceil(rung["trials_a_batch"] / places) * rung["epochs"] * epoch_s
        for rung in known["rungs"]
    )
    final, whole = config.final, request.preview(config.final.recipe).dataset
    final_s = seconds_per_epoch(nets.build(typical, config.seed), whole, final.recipe, threads=config.threads)
    trials_s = config.trials * candidate_s / places + rungs_s + _measurings(config) * measuring_s
    search_s = shown.prepare_s + supernet_s + trials_s
    rounds = max(known["long trainings after it"] / places, 1.0)
    total_s = search_s + rounds * final.recipe.epochs * final_s
    warnings = [
        checks.validation_size(dataset),
        checks.final_steps(dataset, final.recipe),
        checks.finalists(final.finalists, config.trials),
        too_long(total_s),
    ]
    return {
        **known,
        "seconds to prepare the pictures": round(shown.prepare_s, 1),
        **({"seconds to train the supernet": round(supernet_s)} if shared else {}),
        f"seconds to {'judge' if shared else 'train'} a candidate": round(candidate_s, 1),
        "seconds to measure a candidate": round(measuring_s, 1),
        "search_minutes": round(search_s / 60, 1),
        "total_minutes": round(total_s / 60, 1),
        "warnings": [one for one in warnings if one is not None],
    }


def _target_ms(config: Config, space: Space, bench: Bench, known: dict[str, Any]) -> float:
    """The target on a bench; of a reference model it is measured."""
    if known["target_ms"] is not None:
        return float(known["target_ms"][bench.name])
    reference = config.target_from
    (latency,) = bench.measure([space.baseline(reference.model, reference.width)])
    return median_ms(latency, reference.model)


def _near(space: Space, multiply_adds: float, rng: random.Random) -> Architecture:
    """Of some sampled networks the one whose multiply-adds are nearest."""
    sampled = [space.sample(rng) for _ in range(SAMPLE_NEAR)]
    return min(sampled, key=lambda one: abs(count(one).multiply_adds - multiply_adds))


def _measurings(config: Config) -> float:
    """How many candidates are measured while nothing else is running."""
    settings = config.supernet
    if config.objective.band:
        return config.trials / 2 + config.objective.candidates
    if config.evaluator == "training" or settings.latency == "measured":
        return config.trials / 2  # measuring runs beside the trainings
    return settings.measured + (0 if set(config.devices) <= settings.latency_models.keys() else settings.candidates)


def _shared_seconds(config: Config, space: Space, dataset: Dataset, typical: Architecture) -> tuple[float, float]:
    """How long the supernet's training and the evaluation of one candidate would take."""
    settings = config.supernet
    if settings.weights is not None:
        supernet, training_s = load_supernet(settings.weights, space, dataset.hash), 0.0
    else:
        supernet = new_supernet(space, config.seed)
        epoch_s = supernet_seconds_per_epoch(supernet, dataset, settings.recipe, config.seed, settings.threads)
        training_s = settings.recipe.epochs * epoch_s
    train, validation = len(dataset.train.labels), len(dataset.validation.labels)

    def judge(images: int) -> None:
        short = shortened(dataset, images / train)
        evaluate(calibrated(supernet, typical, short, images), short.validation, short)

    # Calibrated on some of the training images, evaluated on all of validation: counted as if both took the same time.
    each_s = timed(judge, train) / (1 + validation / train)
    return training_s, each_s * (min(CALIBRATED, train) + validation)
