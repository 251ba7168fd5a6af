"""The latency model against measurements: linear over the layers, as ours is, and over the space's decisions (TuNAS).

    python benchmarks/search/latency_model.py                  on table/latency.csv (`table.py measure` makes it)
    python benchmarks/search/latency_model.py --file FILE.csv

Each is fitted on some of the architectures and predicts the stable ones among the others. Latencies are brought to the
same speed of the machine by the reference model that ran beside them, and `as measured` shows what that is worth.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from table import LATENCY, quick_space, rows

from mnascli.search import latency_model
from mnascli.search.ranking import kendall_tau
from mnascli.space import Architecture

FITTED_ON = (60, 120, 240)
DRAWS = 5
SPACE = quick_space()


def by_decision(architecture: Architecture) -> Counter[str]:
    pairs = zip(SPACE.decisions, SPACE.encode(architecture), strict=True)
    return Counter(f"{decision.tag}={index}" for decision, index in pairs)


KINDS: dict[str, Callable[[Architecture], Counter[str]]] = {"layers": latency_model.terms, "decisions": by_decision}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, default=LATENCY)
    table = list(rows(parser.parse_args().file))
    usual = statistics.median(float(row["reference_ms"]) for row in table)
    print(
        f"{len(table)} measured, {sum(row['verdict'] == 'stable' for row in table)} stable; medians of {DRAWS} draws\n"
    )
    print(
        "| linear over | latencies | fitted on | median error | worst error | Kendall tau |\n|---|---|---|---|---|---|"
    )
    for kind, terms in KINDS.items():
        for same_speed in (True, False):
            for count in FITTED_ON:
                if count < len(table):
                    draws = [judge(table, terms, usual if same_speed else None, count, seed) for seed in range(DRAWS)]
                    median, worst, tau = (statistics.median(column) for column in zip(*draws, strict=True))
                    speed = "at the same speed" if same_speed else "as measured"
                    print(f"| {kind} | {speed} | {count} | {median:.1%} | {worst:.0%} | {tau:.2f} |")


def judge(
    table: list[dict[str, str]],
    terms: Callable[[Architecture], Counter[str]],
    usual_ms: float | None,
    count: int,
    seed: int,
) -> tuple[float, float, float]:
    """Median error, worst error and Kendall's tau on the stable ones that were not fitted on."""
    order = random.Random(seed).sample(table, len(table))
    networks = [SPACE.decode([int(digit) for digit in row["architecture"]]) for row in order]
    measured = [float(row["median_ms"]) * (usual_ms / float(row["reference_ms"]) if usual_ms else 1) for row in order]
    stable = [row["verdict"] == "stable" for row in order]
    original, latency_model.terms = latency_model.terms, terms
    try:
        model = latency_model.fit(SPACE, {"name": "host"}, networks[:count], measured[:count])
        predicted = [model.predict(network) for network in networks[count:]]
    finally:
        latency_model.terms = original
    kept = [
        (guess, true) for guess, true, good in zip(predicted, measured[count:], stable[count:], strict=True) if good
    ]
    errors = [abs(guess / true - 1) for guess, true in kept]
    return statistics.median(errors), max(errors), kendall_tau(*zip(*kept, strict=True)).tau


if __name__ == "__main__":
    main()
