"""Latency models of a device: candidates of a space are measured on it, and a linear model is fitted to them."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mnascli import paths
from mnascli.devices.measuring import Latency
from mnascli.devices.store import LatencyStore
from mnascli.engine.benches.bench import Bench, open_bench
from mnascli.errors import MnasError, reason
from mnascli.runs import write_atomically
from mnascli.search.latency_model import FEWEST, LatencyModel, LatencyModelError, fit
from mnascli.space import Architecture, Space

CANDIDATES = 60
AT_ONCE = 20  # measured in one batch
ROUNDS = 3  # of `fit_near`, at most
SAMPLED = 4000  # random candidates that are predicted in each round of it


Measured = tuple[Architecture, Latency]


def identify(bench: Bench) -> dict[str, Any]:
    """What a latency on this bench depends on, as recorded in a latency model."""
    device = bench.device
    return {
        "name": device.name,
        "fingerprint": device.fingerprint,
        # as it comes back from JSON
        "setup": {**device.setup.to_json(), "cores": list(device.setup.cores)},
        "precision": bench.precision,
    }


def fit_on(
    bench: Bench,
    space: Space,
    candidates: int = CANDIDATES,
    on_progress: Callable[[int, int], None] = lambda done, wanted: None,
) -> LatencyModel:
    """A latency model of a space on a device, from measurements of `candidates` architectures.

    Which ones depends only on the space, so what the bench's store knows is not measured again. If a device was slower
    in one batch than in another, its reference model shows it, and its times are scaled to the same speed; those of a
    shared machine are scaled already.
    `on_progress` gets how many are measured and how many are wanted.

    Raises LatencyModelError if too few were stable; whether the model is good is what its `check` finds out.
    """
    rng = random.Random("latency model")
    wanted = _mixed(space, rng, candidates)
    measured: list[Measured] = []
    for start in range(0, candidates, AT_ONCE):
        measured += _measure(bench, wanted[start : start + AT_ONCE])
        on_progress(min(start + AT_ONCE, candidates), candidates)
    return _fit(bench, space, measured)


def fit_near(bench: Bench, space: Space, target_ms: float, candidates: int = CANDIDATES) -> LatencyModel:
    """As `fit_on`, but good for networks near a latency that few of the space have.

    The first candidates are of the whole space. One or two more rounds, as many candidates as there are allow, measure
    those which the model so far predicts nearest to the target, out of `SAMPLED` random ones; where the model is still
    too inaccurate to be used, there are as many rounds again. Raises as `fit_on`.
    """
    rng = random.Random("latency model near a target")
    rounds = min(ROUNDS, candidates // FEWEST)
    each = candidates // rounds
    measured, model = list[Measured](), None
    for done in range(2 * rounds):
        if done >= rounds and model is not None and model.errors.are_small:
            break
        if model is None:
            wanted = _mixed(space, rng, each)
        else:
            distance = {one: abs(model.predict(one) - target_ms) for one in _mixed(space, rng, SAMPLED)}
            nearest = sorted(distance, key=distance.__getitem__)[: 2 * each]
            wanted = rng.sample(nearest, min(each, len(nearest)))
        measured += _measure(bench, wanted)
        try:
            model = _fit(bench, space, measured)
        except LatencyModelError:  # too few were stable so far
            if done == 2 * rounds - 1:
                raise
    assert model is not None
    return model


def _mixed(space: Space, rng: random.Random, count: int) -> list[Architecture]:
    """Random architectures, every second one of those that reach the space's ends."""
    return [space.sample_leaning(rng) if n % 2 else space.sample(rng) for n in range(count)]


def _measure(bench: Bench, architectures: Sequence[Architecture]) -> list[Measured]:
    """Those of them that could be measured."""
    pairs = zip(architectures, bench.measure(architectures), strict=True)
    return [(architecture, one) for architecture, one in pairs if isinstance(one, Latency)]


def _fit(bench: Bench, space: Space, measured: Sequence[Measured]) -> LatencyModel:
    references = [one.reference_ms for _, one in measured if one.reference_ms is not None]
    usual = statistics.median(references) if references else None
    common = None if bench.pool.profile.measuring.shared else usual
    return fit(
        space,
        identify(bench),
        [architecture for architecture, _ in measured],
        [one.median_ms * (common / one.reference_ms if common and one.reference_ms else 1) for _, one in measured],
        [one.verdict == "stable" for _, one in measured],
        usual,
    )


def fit_to_file(
    device: str, space: Space, path: Path, candidates: int, on_progress: Callable[[int, int], None]
) -> LatencyModel:
    """Fit a model and write it to `path` as JSON, even a bad one, since its errors are in it. Raises MnasError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    paths.check_writable(path)
    bench = open_bench(device, LatencyStore())
    try:
        model = fit_on(bench, space, candidates, on_progress)
    finally:
        bench.close()
    save(model, path)
    return model


def save(model: LatencyModel, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, model.model_dump_json(indent=2).encode() + b"\n")
    except OSError as error:
        raise MnasError(f"{path}: cannot be written: {reason(error)}") from error
