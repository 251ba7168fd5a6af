"""Our searchers against Optuna's and pymoo's on the surrogate of the table: best reward and hypervolume.

    python benchmarks/search/searchers.py run  every searcher and seed, resumable, into table/searchers.jsonl
    python benchmarks/search/searchers.py show  the tables of what there is
    python benchmarks/search/searchers.py run --tuning --only evolution-small  seeds of their own, printed and not kept

All maximise the quick template's soft reward, except the multi-objective ones (NSGA-II), which are given accuracy and
latency; all are judged alike. A trial is seen with the noise between training seeds, four trials are asked for at a
time. Best reward: that of the trial that looks best, without the noise. Hypervolume: of the trials that look
undominated, again without the noise, against twice the target's latency and accuracy 0.5, as a share of that area.
The options named '-small' were tuned with `--tuning`, on seeds that the tables do not have.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: threads only hinder each other on such matrices

import contenders
from surrogate import Surrogate

from mnascli.search import Objective, front, hypervolume
from mnascli.space import load

BUDGETS = (50, 200, 1000)
SEEDS = 20
TUNING_SEEDS = range(1000, 1006)
RESULTS = Path(__file__).with_name("table") / "searchers.jsonl"
WORST_ACCURACY = 0.5


class Landscape:
    """What a searcher sees of the surrogate with one seed, and what is behind it."""

    def __init__(self, surrogate: Surrogate) -> None:
        self.surrogate = surrogate
        self.space = surrogate.space
        reference = self.space.adapt(load("mobilenet-v2").on(width=0.25))
        self.target_ms = surrogate.latency_of(reference)
        self.objective = Objective(kind="soft", target_ms=self.target_ms)

    def trials(self, indices: list[tuple[int, ...]], rng: random.Random) -> list[contenders.Seen]:
        return [
            contenders.Seen(accuracy, ms, min(max(accuracy + rng.gauss(0, self.surrogate.noise), 0.0), 1.0))
            for accuracy, ms in self.surrogate.of_indices(indices)
        ]

    def judge(self, trials: list[contenders.Seen]) -> tuple[float, float]:
        """Best reward and hypervolume."""
        picked = max(trials, key=lambda one: self.objective.reward(one.seen, one.latency_ms))
        looks_best = set(front((one.latency_ms, one.seen) for one in trials))
        behind = [(one.latency_ms, one.accuracy) for one in trials if (one.latency_ms, one.seen) in looks_best]
        area = hypervolume(behind, 2 * self.target_ms, WORST_ACCURACY)
        return self.objective.reward(picked.accuracy, picked.latency_ms), area / (
            2 * self.target_ms * (1 - WORST_ACCURACY)
        )


def search(name: str, landscape: Landscape, seed: int, budgets: tuple[int, ...]) -> dict[str, Any]:
    make = contenders.CONTENDERS[name]
    rng = random.Random(f"noise {seed}")
    began = time.process_time()
    found: list[contenders.Seen] = []
    found = make(landscape.space, seed, landscape.objective, lambda some: landscape.trials(some, rng), max(budgets))
    seconds = time.process_time() - began
    figures = {str(budget): landscape.judge(found[:budget]) for budget in budgets if budget <= len(found)}
    return {"searcher": name, "seed": seed, "figures": figures, "seconds": round(seconds, 2)}


def run(only: list[str], seeds: range, budgets: tuple[int, ...], limit: int | None, keep: bool) -> list[dict[str, Any]]:
    landscape = Landscape(Surrogate(limit))
    stamp = len(landscape.surrogate.trained)
    done = {(row["searcher"], row["seed"]) for row in results(stamp) if str(max(budgets)) in row["figures"]}
    made = []
    for seed in seeds:  # seed by seed, so that a stopped table has as much of each
        for name in only:
            if keep and (name, seed) in done:
                continue
            row = {**search(name, landscape, seed, budgets), "architectures": stamp}
            made.append(row)
            if keep:
                with RESULTS.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
    return made


def results(architectures: int | None = None) -> list[dict[str, Any]]:
    """What was run on the surrogate of that many trained architectures; None takes the latest one."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    rows = [json.loads(line) for line in lines if line.endswith("}")]
    wanted = architectures or (rows[-1]["architectures"] if rows else 0)
    # A run to a larger budget stands for a shorter one of the same seed.
    longest = {}
    for row in rows:
        key = row["searcher"], row["seed"]
        if row["architectures"] == wanted and len(row["figures"]) >= len(longest.get(key, row)["figures"]):
            longest[key] = row
    return list(longest.values())


def show(rows: list[dict[str, Any]], budgets: tuple[int, ...]) -> None:
    names = [name for name in contenders.CONTENDERS if any(row["searcher"] == name for row in rows)]
    print(f"surrogate of {rows[0]['architectures']} trained architectures; median [quartiles] over seeds (how many)")
    for place, what in enumerate(("best reward", "hypervolume")):
        print(f"\n| {what} x 1000 | " + " | ".join(f"{budget} trials" for budget in budgets) + " |")
        print("|---" * (len(budgets) + 1) + "|")
        for name in names:
            mine = [row["figures"] for row in rows if row["searcher"] == name]
            cells = [cell([1000 * one[str(b)][place] for one in mine if str(b) in one]) for b in budgets]
            print(f"| {name} | " + " | ".join(cells) + " |")
    hours = sum(row["seconds"] for row in rows) / 3600
    print(f"\n{hours:.2f} hours of processor time")


def cell(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.1f} (1)" if values else "-"
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.1f} [{low:.1f}, {high:.1f}] ({len(values)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "show"))
    parser.add_argument("--only", nargs="+", choices=contenders.CONTENDERS, default=list(contenders.CONTENDERS))
    parser.add_argument("--budgets", nargs="+", type=int, default=BUDGETS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--rows", type=int, help="use only this many of the table's trainings, the first ones")
    parser.add_argument("--tuning", action="store_true", help="seeds of their own, printed and not kept")
    arguments = parser.parse_args()
    budgets = tuple(arguments.budgets)
    if arguments.what == "show":
        show(results(), budgets)
    elif arguments.tuning:
        show(run(arguments.only, TUNING_SEEDS, budgets, arguments.rows, keep=False), budgets)
    else:
        run(arguments.only, range(arguments.seeds), budgets, arguments.rows, keep=True)


if __name__ == "__main__":
    main()
