"""Make the table: architectures of the quick template's space as it was, really trained and measured; resumable.

    python benchmarks/search/table.py train     trainings into table/accuracy.csv
    python benchmarks/search/table.py measure   host latencies into table/latency.csv
    python benchmarks/search/table.py show      what there is: counts, noise between seeds, hours

The two can run at the same time; each is resumed where it stopped, row by row. An architecture is written as its
choices, one digit a decision, in the order of the space's decisions.

Half of the architectures are uniform over the space. These lie close together (the choices of seven blocks average
out), so the other half have a leaning of their own: each kind of decision (operator, kernel, ...) is drawn with
probabilities that the architecture draws first, alike for all its blocks. They reach to the space's ends.

Training is the quick template's proxy: the accuracy is what its search sees. Every tenth architecture has two more
seeds.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mnascli.space import Space, load_space

FOLDER = Path(__file__).with_name("table")
ACCURACY, LATENCY = FOLDER / "accuracy.csv", FOLDER / "latency.csv"
TEMPLATE = FOLDER / "quick.yaml"  # the template as it was then
ARCHITECTURES = 520
REPEATED = 10  # every tenth architecture is trained with SEEDS seeds
SEEDS = 3
MEASURED_AT_ONCE = 20


def quick_space(size: int = 28) -> Space:
    return load_space(TEMPLATE).on(size=size, channels=1, classes=10)


def architectures(space: Space, count: int = ARCHITECTURES) -> list[str]:
    """Uniform ones and leaning ones by turns, all different; the first n are the same whatever the count."""
    rng = random.Random("quick table")
    chosen: dict[str, None] = {}
    while len(chosen) < count:
        leaning = len(chosen) % 2 == 1
        chosen[_leaning(space, rng) if leaning else "".join(map(str, space.encode(space.sample(rng))))] = None
    return list(chosen)


def _leaning(space: Space, rng: random.Random) -> str:
    weights: dict[str, list[float]] = {}
    digits = []
    for decision in space.decisions:
        kind = decision.tag.partition(".")[2]
        # exponential draws to a power: most of the weight on one or two of the choices
        mine = weights.setdefault(kind, [rng.expovariate(1.0) ** 2 for _ in decision.choices])
        digits.append(rng.choices(range(len(decision.choices)), mine)[0])
    return "".join(map(str, digits))


def train(space: Space, backwards: bool = False) -> None:
    """One training after the other, with one thread; a second process can do them `backwards` until they meet."""
    from mnascli import nets
    from mnascli.engine.config import resolve
    from mnascli.engine.opening import load_data
    from mnascli.training.loop import train as train_network
    from mnascli.training.scoring import evaluate

    config = resolve(str(TEMPLATE), None, {})
    dataset = load_data(config)
    for digits, seed in list(wanted(space))[:: -1 if backwards else 1]:
        if (digits, seed) in {(row["architecture"], int(row["seed"])) for row in rows(ACCURACY)}:
            continue
        began = time.perf_counter()
        network = nets.build(space.decode([int(digit) for digit in digits]), seed)
        trained = train_network(network, dataset, config.proxy, seed=seed, threads=1)
        test = evaluate(network, dataset.test, dataset).top1
        seconds = time.perf_counter() - began
        append(ACCURACY, architecture=digits, seed=seed, validation=f"{trained.accuracy:.5f}", test=f"{test:.5f}",
               seconds=f"{seconds:.1f}")  # fmt: skip


def wanted(space: Space) -> Iterator[tuple[str, int]]:
    """(architecture, seed), the repeated seeds coming with their architecture, so that a stopped table has both."""
    for number, digits in enumerate(architectures(space)):
        yield from ((digits, seed) for seed in range(SEEDS if number % REPEATED == 0 else 1))


def measure(space: Space) -> None:
    from mnascli.devices.device import ModelError
    from mnascli.engine.benches.bench import open_bench

    done = {row["architecture"] for row in rows(LATENCY)}
    missing = [digits for digits in architectures(space) if digits not in done]
    bench = open_bench("host")
    try:
        for first in range(0, len(missing), MEASURED_AT_ONCE):
            some = missing[first : first + MEASURED_AT_ONCE]
            results = bench.measure([space.decode([int(digit) for digit in digits]) for digits in some])
            for digits, latency in zip(some, results, strict=True):
                if isinstance(latency, ModelError):
                    sys.exit(f"{digits}: {latency}")
                append(LATENCY, architecture=digits, median_ms=f"{latency.median_ms:.5f}",
                       p5_ms=f"{latency.p5_ms:.5f}", p95_ms=f"{latency.p95_ms:.5f}", verdict=latency.verdict,
                       reference_ms=f"{latency.reference_ms:.5f}")  # fmt: skip
    finally:
        bench.close()


def show() -> None:
    accuracies, latencies = list(rows(ACCURACY)), list(rows(LATENCY))
    by_architecture: dict[str, list[float]] = {}
    for row in accuracies:
        by_architecture.setdefault(row["architecture"], []).append(float(row["validation"]))
    repeated = [values for values in by_architecture.values() if len(values) > 1]
    both = by_architecture.keys() & {row["architecture"] for row in latencies}
    print(f"{len(by_architecture)} architectures trained, {len(accuracies)} trainings, {len(both)} measured as well")
    if repeated:
        within = statistics.mean(statistics.variance(values) for values in repeated) ** 0.5
        between = statistics.stdev(values[0] for values in by_architecture.values())
        print(f"accuracy: standard deviation {between:.4f} over architectures, one seed each;")
        print(f"          {within:.4f} between seeds of one architecture ({len(repeated)} with {SEEDS} seeds)")
    unstable = sum(row["verdict"] != "stable" for row in latencies)
    milliseconds = [float(row["median_ms"]) for row in latencies]
    if milliseconds:
        print(f"latency: {min(milliseconds):.3f} to {max(milliseconds):.3f} ms, {unstable} unstable")
    print(f"hours of training: {sum(float(row['seconds']) for row in accuracies) / 3600:.2f}")


def rows(path: Path) -> list[dict[str, str]]:
    """The rows there are; a last one that was cut off by a kill is omitted."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if None not in row.values()]


def append(path: Path, **row: Any) -> None:
    """Add a row and have it on the disk."""
    path.parent.mkdir(exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row.keys(), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
        file.flush()
        os.fsync(file.fileno())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "measure", "show"))
    parser.add_argument("--backwards", action="store_true", help="train from the last to the first")
    arguments = parser.parse_args()
    if arguments.what == "train":
        train(quick_space(), arguments.backwards)
    elif arguments.what == "measure":
        measure(quick_space())
    else:
        show()


if __name__ == "__main__":
    main()
