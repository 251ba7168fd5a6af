"""On the surrogate of the table: does a search hit its target, and what do the objective and the space give?

    python benchmarks/search/objectives.py targets  each objective, 10 targets from half to twice the reference
    python benchmarks/search/objectives.py ablation  the paper's: one or two objectives, blocks alike or each its own

The searcher is the quick template's, with 200 trials. The winner is the search's: the most accurate trial that meets
the target, as the search sees it; for the absolute objective the one of the highest reward. 'Objective alone' takes
that of all trials instead, which shows where the objective itself pulls. Latencies are the surrogate's, accuracies
those of the table's short trainings or, with `--shared`, of the supernet of one_shot.py.
"""

from __future__ import annotations

import argparse
import random
import statistics
from typing import NamedTuple

import searchers
from contenders import Seen
from surrogate import Surrogate
from table import TEMPLATE

from mnascli.engine.config import resolve
from mnascli.search import Objective, Result, create_searcher
from mnascli.search.objective import ObjectiveKind
from mnascli.space import Space

TRIALS = 200
# With the exponent or weight of its source (None), and absolute with a heavier one.
KINDS: tuple[tuple[ObjectiveKind, float | None], ...] = (
    ("soft", None), ("hard", None), ("absolute", None), ("absolute", -0.5), ("absolute", -2.0)
)  # fmt: skip
BATCH = 4


class Found(NamedTuple):
    winner: Seen | None
    best: Seen


def search(
    landscape: searchers.Landscape,
    objective: Objective | None,
    target_ms: float,
    seed: int,
    alike: bool = False,
) -> Found:
    """`objective` None maximises accuracy alone; `alike` gives all blocks the same choices."""
    config = resolve(str(TEMPLATE), None, {}).searcher
    space = one_block(landscape.space) if alike else landscape.space
    searcher = create_searcher(config.name, space, seed, **config.options)
    rng = random.Random(f"objectives {seed}")
    trials: list[tuple[float, Seen]] = []
    while len(trials) < TRIALS:
        asked = searcher.ask(BATCH)
        indices = [space.encode(one) for one in asked]
        seen = landscape.trials([one * len(landscape.space.config.blocks) if alike else one for one in indices], rng)
        rewards = [objective.reward(one.seen, one.latency_ms) if objective else one.seen for one in seen]
        searcher.tell([Result(*pair) for pair in zip(asked, rewards, strict=True)])
        trials += zip(rewards, seen, strict=True)
    meeting = [(reward, one) for reward, one in trials if one.latency_ms <= target_ms]
    by_reward = objective is not None and objective.kind == "absolute"
    winner = max(meeting if by_reward else [(one.seen, one) for _, one in meeting], default=(0.0, None))[1]
    return Found(winner, max(trials)[1])


def one_block(space: Space) -> Space:
    """The choices of a single block, which then stand for all of them: a cell that is repeated."""
    return Space(space.config.model_copy(update={"blocks": space.config.blocks[1:2]}), space.source)


def targets(landscape: searchers.Landscape, seeds: int) -> None:
    steps = [landscape.target_ms * 0.5 * 4 ** (step / 9) for step in range(10)]
    print(f"{len(steps)} targets from {steps[0]:.3f} to {steps[-1]:.3f} ms, {TRIALS} trials, {seeds} seeds;")
    print("deviation of latency from target: median of its size, [quartiles with sign]; accuracy of the winner, median")
    print("| objective | the winner | objective alone | accuracy | within 3 % |")
    print("|---|---|---|---|---|")
    for kind, beta in KINDS:
        winner_off, alone_off, accuracies = [], [], []
        for target_ms in steps:
            objective = Objective(kind=kind, beta=beta, target_ms=target_ms)
            for seed in range(seeds):
                found = search(landscape, objective, target_ms, seed)
                alone_off.append(found.best.latency_ms / target_ms - 1)
                if found.winner is not None:
                    winner_off.append(found.winner.latency_ms / target_ms - 1)
                    accuracies.append(found.winner.accuracy)
        within = sum(abs(off) <= 0.03 for off in winner_off)
        missed = len(steps) * seeds - len(winner_off)
        name = kind if beta is None else f"{kind}, beta {beta:g}"
        print(f"| {name} | {deviation(winner_off)} | {deviation(alone_off)} | {statistics.median(accuracies):.3f} "
              f"| {within}/{len(winner_off)}{f', {missed} found none' if missed else ''} |", flush=True)  # fmt: skip


def deviation(values: list[float]) -> str:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{statistics.median(abs(value) for value in values):.1%} [{low:+.1%}, {high:+.1%}]"


def ablation(landscape: searchers.Landscape, seeds: int) -> None:
    target_ms = 0.6 * landscape.target_ms
    objective = Objective(kind="soft", target_ms=target_ms)
    print(f"target {target_ms:.3f} ms, {TRIALS} trials, {seeds} seeds; medians [quartiles]")
    print("| objective | space | latency of the highest reward | accuracy of the winner within the target |")
    print("|---|---|---|---|")
    for name, wanted in (("accuracy", None), ("accuracy and latency (soft)", objective)):
        for alike in (True, False):
            found = [search(landscape, wanted, target_ms, seed, alike) for seed in range(seeds)]
            accuracies = [one.winner.accuracy for one in found if one.winner is not None]
            print(f"| {name} | {'a cell for all blocks' if alike else 'each block its own'} "
                  f"| {cell([one.best.latency_ms for one in found])} "
                  f"| {cell(accuracies)}{'' if len(accuracies) == seeds else f' ({len(accuracies)} of {seeds})'} |",
                  flush=True)  # fmt: skip


def cell(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("targets", "ablation"))
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--shared", action="store_true", help="accuracies of the supernet instead of trainings")
    parser.add_argument("--rows", type=int, help="use only this many of the table's trainings, the first ones")
    arguments = parser.parse_args()
    landscape = searchers.Landscape(Surrogate(arguments.rows, arguments.shared))
    if arguments.what == "targets":
        targets(landscape, arguments.seeds or 3)
    else:
        ablation(landscape, arguments.seeds or 10)


if __name__ == "__main__":
    main()
