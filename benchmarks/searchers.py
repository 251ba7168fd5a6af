"""Searchers against random search on synthetic landscapes: best reward after 36, 100, 200 and 1,000 trials.

    python benchmarks/searchers.py                      the table, on the paper's space
    python benchmarks/searchers.py --space FILE.yaml --seeds 20 --only ppo-small random

A landscape has latency from the real layers (a price for each operator and for each multiply-add, depthwise ones
dearer) and an accuracy that is made up: an effect of each choice, of each pair of neighbouring decisions and of some
distant pairs, and of the logarithm of the multiply-adds. Each seed has a landscape of its own, the same for all
searchers. A trial shows accuracy with noise; the search picks its best trial by that, and the table has the noise-free
reward of the pick. It says how well a searcher climbs, not how accurate networks get.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from typing import Any

from mnascli.search import Objective, Result, create_searcher
from mnascli.space import Architecture, Space, load_space, lower
from mnascli.space.cost import op_cost
from mnascli.space.layers import Conv

BUDGETS = (36, 100, 200, 1000)
IN_FLIGHT = 4  # trials that are asked for at once
NOISE = 0.003  # standard deviation of the accuracy over training seeds

PPO_SMALL: dict[str, Any] = {"normalize": True, "baseline": 0.8, "entropy": 0.1}
# label -> searcher and options; the '-small' ones were found for some 100 to 200 trials, 'ppo-tiny' for some 36, by
# trying a few dozen values on other landscapes than the table's
CONTENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "random": ("random", {}),
    "ppo": ("ppo", {}),
    "ppo-small": ("ppo", {"learning_rate": 0.008, "batch_size": 8, **PPO_SMALL}),
    "ppo-tiny": ("ppo", {"learning_rate": 0.012, "batch_size": 4, **PPO_SMALL}),
    "reinforce": ("reinforce", {}),
    "reinforce-small": ("reinforce", {"learning_rate": 0.15, "baseline": 0.8}),
    "evolution": ("evolution", {}),
    "evolution-small": ("evolution", {"population": 20, "sample": 10}),
}


class Landscape:
    """A made-up accuracy and a simple latency for every architecture of a space, and the soft reward of them."""

    def __init__(self, space: Space, seed: int) -> None:
        self.space = space
        rng = random.Random(f"landscape {seed}")
        counts = [len(decision.choices) for decision in space.decisions]
        self.single = [[rng.gauss(0, 0.004) for _ in range(count)] for count in counts]
        neighbours = [(i, i + 1) for i in range(len(counts) - 1)]
        distant = [tuple(rng.sample(range(len(counts)), 2)) for _ in counts]
        self.pairs = {
            pair: [[rng.gauss(0, 0.002) for _ in range(counts[pair[1]])] for _ in range(counts[pair[0]])]
            for pair in [*neighbours, *distant]
        }
        some = [self.measure(space.sample(rng)) for _ in range(100)]
        self.usual_macs = statistics.median(macs for _, macs in some)
        self.objective = Objective(kind="soft", target_ms=0.7 * statistics.median(ms for ms, _ in some))

    def measure(self, architecture: Architecture) -> tuple[float, int]:
        """Milliseconds and multiply-adds."""
        milliseconds, macs = 0.0, 0
        for op in (op for layer in lower(architecture) for op in layer.ops):
            op_macs = op_cost(op).multiply_adds
            milliseconds += 0.02 + op_macs / (3e6 if isinstance(op, Conv) and op.depthwise else 1e7)
            macs += op_macs
        return milliseconds, macs

    def trial(self, architecture: Architecture, rng: random.Random) -> tuple[float, float]:
        """Reward as a search would see it, and without the noise."""
        latency_ms, macs = self.measure(architecture)
        indices = self.space.encode(architecture)
        accuracy = 0.75 + 0.02 * math.log(macs / self.usual_macs)
        accuracy += sum(effects[index] for effects, index in zip(self.single, indices, strict=True))
        accuracy += sum(table[indices[i]][indices[j]] for (i, j), table in self.pairs.items())
        seen = accuracy + rng.gauss(0, NOISE)
        return tuple(self.objective.reward(min(max(value, 0.0), 1.0), latency_ms) for value in (seen, accuracy))


def search(label: str, landscape: Landscape, seed: int, budgets: tuple[int, ...]) -> list[float]:
    """The noise-free reward of the pick at each budget."""
    name, options = CONTENDERS[label]
    searcher = create_searcher(name, landscape.space, seed, **options)
    rng = random.Random(f"noise {seed}")
    trials: list[tuple[float, float]] = []
    while len(trials) < max(budgets):
        proposals = searcher.ask(IN_FLIGHT)
        rewards = [landscape.trial(architecture, rng) for architecture in proposals]
        searcher.tell([Result(a, seen) for a, (seen, _) in zip(proposals, rewards, strict=True)])
        trials += rewards
    return [max(trials[:budget])[1] for budget in budgets]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="mnasnet", help="a template, or a YAML file")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    arguments = parser.parse_args()
    space, budgets = load_space(arguments.space), tuple(arguments.budgets)
    landscapes = [Landscape(space, seed) for seed in range(arguments.seeds)]
    random_picks = [search("random", landscape, seed, budgets) for seed, landscape in enumerate(landscapes)]
    print(f"space {arguments.space} ({space.size:.3g} architectures), {arguments.seeds} seeds, soft reward x 1000")
    print("median [quartiles] of the pick; +median over random with the same seed (times ahead)")
    print("| searcher | " + " | ".join(f"{budget} trials" for budget in budgets) + " | s a run |")
    print("|---" * (len(budgets) + 2) + "|")
    for label in arguments.only:
        begun = time.perf_counter()
        picks = [search(label, landscape, seed, budgets) for seed, landscape in enumerate(landscapes)]
        seconds = (time.perf_counter() - begun) / len(landscapes)
        cells = [cell(*zip(*pairs, strict=True)) for pairs in columns(picks, random_picks)]
        print(f"| {label} | " + " | ".join(cells) + f" | {seconds:.1f} |", flush=True)


def columns(picks: list[list[float]], random_picks: list[list[float]]) -> list[list[tuple[float, float]]]:
    """For each budget, (pick, random's pick) of every seed."""
    rows = [list(zip(mine, other, strict=True)) for mine, other in zip(picks, random_picks, strict=True)]
    return [list(column) for column in zip(*rows, strict=True)]


def cell(picks: tuple[float, ...], random_picks: tuple[float, ...]) -> str:
    low, middle, high = statistics.quantiles([1000 * pick for pick in picks], n=4, method="inclusive")
    gains = [1000 * (pick - other) for pick, other in zip(picks, random_picks, strict=True)]
    ahead = sum(gain > 0 for gain in gains)
    return f"{middle:.1f} [{low:.1f}, {high:.1f}] {statistics.median(gains):+.1f} ({ahead}/{len(gains)})"


if __name__ == "__main__":
    main()
