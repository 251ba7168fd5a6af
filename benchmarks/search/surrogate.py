"""The table as a landscape: accuracy and latency of every architecture of the quick space, without training it.

    python benchmarks/search/surrogate.py  its error on architectures it was not fitted on (five-fold cross-validation)

Latency is linear (ridge) over what the lowering says: for each kind of op how often it occurs, its multiply-adds and
the values it writes. Accuracy is a Gaussian process over the choices and the logarithms of multiply-adds, parameters
and depth. Its mean is the surrogate's truth; a trial is seen with the noise between seeds that the table shows.
Networks whose training collapsed (below 0.6; the next ones stand close together) are omitted from the fit: one of them
weighs as much as all others.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from table import ACCURACY, LATENCY, quick_space, rows

from mnascli.space import Architecture, lower
from mnascli.space.cost import op_cost
from mnascli.space.ops import AveragePool, Conv, SqueezeExcite

SHARED = Path(__file__).with_name("one_shot") / "shared.csv"
COLLAPSED = 0.6
Array = npt.NDArray[np.float64]


class Surrogate:
    """Accuracy and latency of any architecture; fitted when it is first asked.

    With `limit` only the first trainings of the table count, so that runs of different times have the same landscape.
    With `shared` the accuracies are not those of the trainings but the ones read off the supernet of
    one_shot.py, which come without noise.
    """

    def __init__(self, limit: int | None = None, shared: bool = False) -> None:
        self.space = quick_space()
        self.noise, accuracies = read_shared() if shared else read_accuracies(limit)
        latencies = {row["architecture"]: float(row["median_ms"]) for row in rows(LATENCY)}
        self.collapsed = [digits for digits, accuracy in accuracies.items() if accuracy < COLLAPSED]
        self.trained = [digits for digits in accuracies if digits not in self.collapsed]
        self.accuracies = np.array([accuracies[digits] for digits in self.trained])
        self.measured, self.latencies_ms = list(latencies), np.array(list(latencies.values()))
        self._known: dict[tuple[int, ...], tuple[float, float]] = {}

    @cached_property
    def _models(self) -> tuple[Pipeline, Pipeline]:
        accuracy = accuracy_model().fit(self.features(self.trained)[0], self.accuracies)
        latency = latency_model().fit(self.features(self.measured)[1], self.latencies_ms)
        return accuracy, latency

    def __call__(self, architectures: Sequence[Architecture]) -> list[tuple[float, float]]:
        """(accuracy, latency in ms) of each, without noise."""
        return self.of_indices([self.space.encode(one) for one in architectures])

    def latency_of(self, architecture: Architecture) -> float:
        """In ms, also of a network that is not of the space but on its skeleton."""
        return float(self._models[1].predict([work(architecture)])[0])

    def of_indices(self, indices: Sequence[tuple[int, ...]]) -> list[tuple[float, float]]:
        """As a call, for architectures as `Space.encode` gives them."""
        new = list(dict.fromkeys(one for one in indices if one not in self._known))
        if new:
            digits = ["".join(map(str, one)) for one in new]
            choices, works = self.features(digits)
            accuracies, latencies_ms = self._models[0].predict(choices), self._models[1].predict(works)
            # What extrapolates beyond anything measured must not be free.
            floor_ms = 0.8 * float(self.latencies_ms.min())
            for one, accuracy, ms in zip(new, accuracies, latencies_ms, strict=True):
                self._known[one] = (min(max(float(accuracy), 0.0), 1.0), max(float(ms), floor_ms))
        return [self._known[one] for one in indices]

    def features(self, digits: Sequence[str]) -> tuple[Array, Array]:
        """Of each architecture what accuracy and what latency are predicted from."""
        architectures = [self.space.decode([int(digit) for digit in one]) for one in digits]
        works = [work(one) for one in architectures]
        return np.array([self._choices(*pair) for pair in zip(digits, works, strict=True)]), np.array(works)

    def _choices(self, digits: str, done: list[float]) -> list[float]:
        """One-hot choices, and logarithms of multiply-adds, values written and the number of ops."""
        hot = [
            float(int(digit) == choice)
            for digit, decision in zip(digits, self.space.decisions, strict=True)
            for choice in range(len(decision.choices))
        ]
        return [*hot, *(math.log(sum(done[place::3])) for place in range(3))]


def work(architecture: Architecture) -> list[float]:
    """For each kind of op how often it occurs, its multiply-adds and the values it writes."""
    kinds = ["conv1", "conv3", "conv5", "depthwise3", "depthwise5", "SqueezeExcite", "AveragePool", "identity", "other"]
    totals = {kind: [0.0, 0.0, 0.0] for kind in kinds}

    def add(kind: str, multiply_adds: float, values: float) -> None:
        for place, amount in enumerate((1.0, multiply_adds / 1e5, values / 1e4)):
            totals[kind][place] += amount

    for layer in lower(architecture):
        for op in layer.ops:
            multiply_adds = op_cost(op).multiply_adds
            if isinstance(op, Conv):
                add(f"{'depthwise' if op.depthwise else 'conv'}{op.kernel}", multiply_adds,
                    op.out_channels * op.out_size**2)  # fmt: skip
            elif isinstance(op, SqueezeExcite):
                add("SqueezeExcite", multiply_adds, op.channels * op.size**2)
            else:
                add("other", multiply_adds, 0.0)
        if isinstance(layer.skip, AveragePool):
            add("AveragePool", 0.0, layer.skip.channels * (layer.skip.in_size / layer.skip.stride) ** 2)
        elif layer.skip is not None:
            last = next(op for op in reversed(layer.ops) if isinstance(op, Conv))
            add("identity", 0.0, last.out_channels * last.out_size**2)
    return [amount for kind in kinds for amount in totals[kind]]


def latency_model() -> Pipeline:
    return make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-3, 3, 13)))


def accuracy_model() -> Pipeline:
    kernel = (
        ConstantKernel(0.5) * RBF(10.0, (2.0, 100.0))
        + ConstantKernel(0.01) * DotProduct(1.0, "fixed")
        + WhiteKernel(0.3, (0.05, 2.0))
    )
    return make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True, random_state=0))


def read_accuracies(limit: int | None) -> tuple[float, dict[str, float]]:
    """The standard deviation between seeds, and the mean validation accuracy over seeds of each architecture."""
    by_architecture: dict[str, list[float]] = {}
    for row in rows(ACCURACY)[:limit]:
        by_architecture.setdefault(row["architecture"], []).append(float(row["validation"]))
    repeated = [statistics.variance(values) for values in by_architecture.values() if len(values) > 1]
    noise = statistics.mean(repeated) ** 0.5 if repeated else 0.0
    return noise, {digits: statistics.mean(values) for digits, values in by_architecture.items()}


def read_shared() -> tuple[float, dict[str, float]]:
    """No noise, and the accuracy of each architecture with the weights of the supernet's first seed."""
    return 0.0, {row["architecture"]: float(row["validation"]) for row in rows(SHARED) if row["seed"] == "0"}


def report(name: str, truth: Array, predicted: Array, unit: float) -> str:
    residuals = truth - predicted
    r2 = 1 - float((residuals**2).sum() / ((truth - truth.mean()) ** 2).sum())
    tau = float(kendalltau(truth, predicted).statistic)
    relative = float(np.median(np.abs(residuals) / truth))
    return f"| {name} | {len(truth)} | {r2:.3f} | {tau:.3f} | {relative:.1%} | {np.abs(residuals).max() * unit:.3g} |"


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    surrogate = Surrogate()
    folds = KFold(5, shuffle=True, random_state=0)
    print("five-fold cross-validation; worst error in points of accuracy and in microseconds")
    print("| what | architectures | R^2 | Kendall tau | median error | worst error |")
    print("|---|---|---|---|---|---|")
    works, choices = surrogate.features(surrogate.measured)[1], surrogate.features(surrogate.trained)[0]
    predicted = cross_val_predict(latency_model(), works, surrogate.latencies_ms, cv=folds)
    print(report("latency", surrogate.latencies_ms, predicted, 1000))
    predicted = cross_val_predict(accuracy_model(), choices, surrogate.accuracies, cv=folds)
    print(report("accuracy", surrogate.accuracies, predicted, 100))
    if SHARED.exists():
        shared = Surrogate(shared=True)
        choices = shared.features(shared.trained)[0]
        predicted = cross_val_predict(accuracy_model(), choices, shared.accuracies, cv=folds)
        print(report("accuracy with shared weights", shared.accuracies, predicted, 100))
    spread = float(surrogate.accuracies.std())
    explained = max(0.0, 1 - surrogate.noise**2 / spread**2)
    print(f"noise between seeds {surrogate.noise:.4f}, spread over architectures {spread:.4f}: of its variance at most")
    print(f"{explained:.2f} can be predicted by anything; {len(surrogate.collapsed)} collapsed ones are omitted")


if __name__ == "__main__":
    main()
