"""Latency without measuring: a linear model over what the layers of a network do, fitted on measured candidates.

The terms are those of the one lowering: for each kind of op (1x1 convolution, depthwise 5x5 of stride 2, pool, ...) how
many there are and how much work they do, in multiply-adds or in numbers read. Stem and classifier are the same in all
architectures of a space and go into the intercept. TuNAS (2008.06120, section 3.2) is linear over the decisions
instead; here one decision holds for a whole block, whose filters, kernel and layers multiply each other, so that it
needs far more measurements (benchmarks/search/latency_model.py shows both).

A model is as good as its errors on candidates that it was not fitted on (cross-validation), and is refused where they
are beyond `MAX_MEDIAN_ERROR`, `MAX_WORST_ERROR` and `MIN_TAU`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from mnascli.errors import MnasError, UsageError
from mnascli.schema import Schema, parse
from mnascli.search.ranking import kendall_tau
from mnascli.space import Architecture, Layer, Space, lower
from mnascli.space.cost import op_cost
from mnascli.space.ops import AveragePool, Conv, Dense, Dropout, GlobalMean, Op, SqueezeExcite

# What a model must reach on candidates it was not fitted on. A tau of 0.65 between predicted and measured latency is
# what Google's NAS service asks for; the worst is generous: one measurement on a shared machine can be off by a third.
MAX_MEDIAN_ERROR, MAX_WORST_ERROR, MIN_TAU = 0.10, 0.60, 0.65
FEWEST = 20  # stable measurements
FOLDS = 5
# Weights of the squared coefficients of standardised terms, against squared relative errors: the noisier the
# measurements, the larger the one that predicts best.
RIDGES = (0.01, 0.1, 1.0, 10.0)
ROUNDS = 15  # of reweighting

Floats = npt.NDArray[np.float64]


class LatencyModelError(MnasError):
    """A latency model that is not good enough to be used."""


class Errors(Schema):
    """On held-out candidates: errors as fractions of the measured latency, Kendall's tau, how many."""

    median: float
    worst: float
    tau: float
    candidates: int

    @property
    def are_small(self) -> bool:
        """Whether a model with these errors may be used."""
        return self.median <= MAX_MEDIAN_ERROR and self.worst <= MAX_WORST_ERROR and self.tau >= MIN_TAU

    def __str__(self) -> str:
        return (
            f"median error {self.median:.1%}, worst {self.worst:.1%}, Kendall tau {self.tau:.2f} "
            f"on {self.candidates} candidates"
        )


class LatencyModel(Schema):
    """Predicts the latency of a space's architectures on one device.

    `device` holds everything a latency depends on, the device's name first; `reference_ms` is what the measuring's
    reference model took there: predictions are for the device at that speed. Coefficients are milliseconds per
    unit of their term. No prediction is below `floor_ms`, half the fastest latency that was seen.
    """

    schema_version: int = 1
    space: str
    device: dict[str, Any]
    reference_ms: float | None
    intercept_ms: float
    coefficients_ms: dict[str, float] = Field(min_length=1)
    floor_ms: float = Field(gt=0)
    errors: Errors

    def predict(self, architecture: Architecture) -> float:
        """Milliseconds."""
        amounts = terms(architecture)
        linear = sum(weight * amounts[name] for name, weight in self.coefficients_ms.items())
        return max(self.floor_ms, self.intercept_ms + linear)

    def check(self, space: Space, device: Mapping[str, Any], source: str) -> None:
        """Raises UsageError if the model is for another space or device, LatencyModelError if it is too inaccurate."""
        if self.space != space_id(space):
            raise UsageError(
                f"{source}: a latency model of another space: make one with `mnas devices fit {device['name']} --space`"
            )
        for key, value in device.items():
            if self.device.get(key) != value:
                raise UsageError(
                    f"{source}: a latency model of another device (its {key} is {self.device.get(key)}, here it is "
                    f"{value}): make one with `mnas devices fit {device['name']}`"
                )
        if not self.errors.are_small:
            raise LatencyModelError(
                f"{source}: the latency model is too inaccurate: {self.errors} (needed: {MAX_MEDIAN_ERROR:.0%}, "
                f"{MAX_WORST_ERROR:.0%}, {MIN_TAU}): keep other work off {device['name']} and fit it again, with more "
                "candidates, or search with evaluator: training, which measures every candidate"
            )


def load_latency_model(path: Path) -> LatencyModel:
    """The model in a JSON file. Raises UsageError for a file that is not one."""
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: no latency model can be read: {error}") from error
    return parse(LatencyModel, values, f"{path}: not a latency model")


def space_id(space: Space) -> str:
    """The space's hash without channels and classes: stem and classifier are the same in all of its networks."""
    return space.on(channels=3, classes=1000).hash


def terms(architecture: Architecture) -> Counter[str]:
    """How much of each of the model's terms a network has."""
    amounts: Counter[str] = Counter()
    for layer in lower(architecture):
        if layer.name.startswith("blocks."):
            amounts.update(_layer_terms(layer))
        elif layer.name == "head":  # its input is as wide as the last block
            amounts["head multiply-adds"] += op_cost(layer.ops[0]).multiply_adds
    return amounts


def fit(
    space: Space,
    device: Mapping[str, Any],
    architectures: Sequence[Architecture],
    latency_ms: Sequence[float],
    stable: Sequence[bool] | None = None,
    reference_ms: float | None = None,
) -> LatencyModel:
    """The model fitted on some measured architectures, with its errors by cross-validation.

    Measurements that were not `stable` are fitted on, but not evaluated on. Raises LatencyModelError if fewer than
    `FEWEST` are stable.
    """
    evaluated = np.array(stable if stable is not None else [True] * len(architectures))
    if evaluated.sum() < FEWEST:
        raise LatencyModelError(
            f"only {evaluated.sum()} of {len(evaluated)} candidates have a stable latency, a model needs {FEWEST}: "
            f"keep other work off {device['name']}, or measure more candidates"
        )
    counted = [terms(architecture) for architecture in architectures]
    names = sorted({name for amounts in counted for name in amounts})
    table = np.array([[amounts[name] for name in names] for amounts in counted], float)
    measured = np.array(latency_ms)
    by_ridge = {ridge: _cross_validate(table, measured, evaluated, ridge) for ridge in RIDGES}
    best = min(by_ridge, key=lambda ridge: by_ridge[ridge].median)
    intercept, coefficients = _solve(table, measured, best)
    return LatencyModel(
        space=space_id(space),
        device=dict(device),
        reference_ms=reference_ms,
        intercept_ms=intercept,
        coefficients_ms=dict(zip(names, coefficients.tolist(), strict=True)),
        floor_ms=float(measured.min() / 2),
        errors=by_ridge[best],
    )


def _layer_terms(layer: Layer) -> Counter[str]:
    amounts: Counter[str] = Counter()
    for op in layer.ops:
        amounts.update(op_terms(op))
    if layer.skip == "identity":
        amounts["identity ops"] += 1
    elif layer.skip is not None:
        amounts.update(op_terms(layer.skip))
    return amounts


@singledispatch
def op_terms(op: Op) -> dict[str, int]:
    """How much there is of each term of the model in one op of a block."""
    raise TypeError(f"no term of the latency model for {type(op).__name__}")


@op_terms.register
def _(op: Conv) -> dict[str, int]:
    kind = f"{'depthwise' if op.depthwise else 'conv'} {op.kernel}x{op.kernel} stride {op.stride}"
    return {f"{kind} ops": 1, f"{kind} multiply-adds": op_cost(op).multiply_adds}


@op_terms.register
def _(op: SqueezeExcite) -> dict[str, int]:
    return {"squeeze-excite ops": 1, "squeeze-excite numbers": op.channels * op.size**2}


@op_terms.register
def _(op: AveragePool) -> dict[str, int]:
    return {"pool ops": 1, "pool numbers": op.channels * op.in_size**2}


@op_terms.register
def _(op: GlobalMean) -> dict[str, int]:
    return {"mean numbers": op.channels * op.size**2}


@op_terms.register
def _(op: Dense) -> dict[str, int]:
    return {"dense multiply-adds": op_cost(op).multiply_adds}


@op_terms.register
def _(op: Dropout) -> dict[str, int]:
    return {}


def _solve(table: Floats, measured: Floats, ridge: float) -> tuple[float, Floats]:
    """Intercept and coefficients (terms,) for a table (candidates, terms) and latencies (candidates,).

    Ridge regression of relative errors with standardised terms; reweighted so that errors beyond the median one count
    by their size and not by its square (Huber's loss), because a bad measurement must not skew the model.
    """
    mean, spread = table.mean(0), table.std(0)
    spread[spread == 0] = np.inf  # the same in all: part of the intercept
    columns = np.column_stack([np.ones(len(table)), (table - mean) / spread]) / measured[:, None]
    penalty = np.diag([0.0, *[ridge / float(np.median(measured)) ** 2] * table.shape[1]])
    trust = np.ones(len(table))
    solution = np.zeros(columns.shape[1])
    for _ in range(ROUNDS):
        weighted = columns * trust[:, None]
        solution = np.linalg.solve(columns.T @ weighted + penalty, weighted.sum(0))
        errors = np.abs(columns @ solution - 1)
        usual = max(float(np.median(errors)), 1e-9)
        trust = usual / np.maximum(errors, usual)
    coefficients = solution[1:] / spread
    return float(solution[0] - mean @ coefficients), coefficients


def _cross_validate(table: Floats, measured: Floats, evaluated: npt.NDArray[np.bool_], ridge: float) -> Errors:
    """Every candidate predicted by a model that was fitted without it, FOLDS models in all."""
    predicted = np.empty_like(measured)
    order = np.random.default_rng(0).permutation(len(measured))
    for fold in range(FOLDS):
        held_out = order[fold::FOLDS]
        rest = np.setdiff1d(order, held_out)
        intercept, coefficients = _solve(table[rest], measured[rest], ridge)
        predicted[held_out] = intercept + table[held_out] @ coefficients
    errors = np.abs(predicted / measured - 1)[evaluated]
    tau = kendall_tau(predicted[evaluated].tolist(), measured[evaluated].tolist()).tau
    return Errors(
        median=float(np.median(errors)),
        worst=float(errors.max()),
        tau=tau if np.isfinite(tau) else 0.0,
        candidates=len(errors),
    )
