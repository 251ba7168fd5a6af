"""Which short training tells which network is best? Networks of the template `photos`, trained short and in full.

    python benchmarks/search/labels.py train --data CIFAR10 [--core 0]    resumable; hours: minutes for each training
    python benchmarks/search/labels.py show

The pool: the template's plain skeletons of 2 to 4.5 million multiply-adds, and random networks in that range, drawn as
evolution draws its founders: like the candidates of a search, they cost about as much to run. Each is trained for 1 and
3 epochs with one seed, and in full (12 epochs) with others, which are the labels. Results lie in cifar/labels.jsonl:
the loss and the validation accuracy of each epoch, the mean training loss over the second half, and the accuracy on the
held-out selection and test parts.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cifar

from mnascli import nets
from mnascli.data import Dataset
from mnascli.search.ranking import kendall_tau
from mnascli.space import Architecture, count
from mnascli.training.loop import train
from mnascli.training.recipe import Recipe
from mnascli.training.scoring import evaluate

Rows = dict[tuple[str, int, int], dict[str, Any]]  # by name, epochs and seed

FILE = Path(__file__).with_name("cifar") / "labels.jsonl"
FEWEST, MOST = 2e6, 4.5e6  # multiply-adds
POOL = 30
SHORT = (1, 3)  # epochs
FULL = 12
SHORT_SEED, LABEL_SEEDS = 0, (1, 2, 3)


def pool() -> list[tuple[str, Architecture]]:
    """Names and networks: the plain skeletons in the range, then random networks."""
    space, rng = cifar.space(), random.Random(0)
    found = [
        (f"plain {operator} x{width:g}", space.baseline(f"plain-{operator}", width))
        for operator in ("sep", "mbconv3", "conv")
        for width in (0.25, 0.5, 0.75, 1.0)
    ]
    found = [(name, net) for name, net in found if FEWEST <= count(net).multiply_adds <= MOST]
    while len(found) < POOL:
        net = space.sample_leaning(rng)
        if FEWEST <= count(net).multiply_adds <= MOST:
            found.append((f"random {len(found)}", net))
    return found


def recipe_of(epochs: int) -> Recipe:
    """The template's full recipe for so many epochs; the warm-up takes its share of them."""
    full = cifar.config().final.recipe
    warmup = full.warmup_epochs if epochs == FULL else epochs * full.warmup_epochs / full.epochs
    return full.model_copy(update={"epochs": epochs, "warmup_epochs": warmup})


def wanted() -> list[tuple[str, Architecture, int, int]]:
    """Every training in the order in which it is worth having: name, network, epochs, seed."""
    rounds = [(epochs, SHORT_SEED) for epochs in SHORT] + [(FULL, seed) for seed in LABEL_SEEDS]
    return [(name, net, epochs, seed) for epochs, seed in rounds for name, net in pool()]


def trained(net: Architecture, dataset: Dataset, epochs: int, seed: int) -> dict[str, Any]:
    """One training and all that it says."""
    began, losses = time.monotonic(), list[tuple[int, float]]()
    network = nets.build(net, seed)
    recipe = recipe_of(epochs)
    done = train(
        network, dataset, recipe, seed=seed, threads=1, on_steps=lambda step, loss, rate: losses.append((step, loss))
    )
    steps = epochs * (len(dataset.train.labels) // recipe.batch_size)
    late = [loss for step, loss in losses if step > steps / 2]
    return {
        "history": list(done.history),
        "late_loss": sum(late) / len(late),
        "selection": evaluate(network, dataset.selection, dataset).top1,
        "test": evaluate(network, dataset.test, dataset).top1,
        "seconds": round(time.monotonic() - began, 1),
    }


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FILE.read_text().splitlines()] if FILE.exists() else []


def run(source: Path) -> None:
    dataset = cifar.pictures(source, source.with_name(f"{source.name}-{cifar.A_CLASS}"))
    there = {(row["name"], row["epochs"], row["seed"]) for row in rows()}
    FILE.parent.mkdir(exist_ok=True)
    for name, net, epochs, seed in wanted():
        if (name, epochs, seed) in there:
            continue
        values = {"name": name, "architecture": str(net), "epochs": epochs, "seed": seed}
        values |= trained(net, dataset, epochs, seed)
        with FILE.open("a") as file:
            file.write(json.dumps(values) + "\n")
        print(name, epochs, seed, values["test"], values["seconds"], flush=True)


def show() -> None:
    """How much of it there is; for each measure its tau with the label beside the ceiling; the regret of each pick."""
    by = {(row["name"], row["epochs"], row["seed"]): row for row in rows()}
    for epochs, seed in sorted({(epochs, seed) for _, epochs, seed in by}):
        tests = [row["test"] for (_, e, s), row in by.items() if (e, s) == (epochs, seed)]
        print(f"{epochs:2} epochs, seed {seed}: {len(tests)} of {POOL} networks, test accuracy "
              f"{min(tests):.3f} to {max(tests):.3f}")  # fmt: skip
    seeds = [seed for seed in LABEL_SEEDS if any((s, e) == (seed, FULL) for _, e, s in by)]
    names = [name for name, _ in pool() if all((name, FULL, seed) in by for seed in seeds)]
    names = [name for name in names if all((name, epochs, SHORT_SEED) in by for epochs in SHORT)]
    if not seeds or len(names) < 3:
        print("no labels yet: nothing can be said of ranks")
        return
    print(f"\n{len(names)} networks have all trainings; the label is the mean test accuracy of {len(seeds)} full ones")
    label = {name: statistics.mean(by[name, FULL, seed]["test"] for seed in seeds) for name in names}
    show_taus(by, names, seeds, label)
    show_regrets(by, names, label)


def show_taus(by: Rows, names: list[str], seeds: list[int], label: dict[str, float]) -> None:
    print("\n| measure | tau with the label |\n|---|---|")
    wanted = [label[name] for name in names]
    for epochs in SHORT:
        accuracies = [by[name, epochs, SHORT_SEED]["history"][-1]["accuracy"] for name in names]
        losses = [-by[name, epochs, SHORT_SEED]["late_loss"] for name in names]
        print(f"| {epochs} epochs, validation accuracy | {kendall_tau(accuracies, wanted).tau:.2f} |")
        print(f"| {epochs} epochs, training loss over the second half | {kendall_tau(losses, wanted).tau:.2f} |")
    if len(seeds) > 1:
        pairs = itertools.combinations(([by[name, FULL, seed]["test"] for name in names] for seed in seeds), 2)
        ceiling = statistics.mean(kendall_tau(one, other).tau for one, other in pairs)
        print(f"| ceiling: a full training with another seed | {ceiling:.2f} |")


def show_regrets(by: Rows, names: list[str], label: dict[str, float]) -> None:
    """Of each policy: how far its pick is below the best of the pool, and what it costs beside training all in full."""
    best = max(label.values())
    first, second = SHORT
    full_s = sum(by[name, FULL, LABEL_SEEDS[0]]["seconds"] for name in names)

    def seconds(chosen: list[str], epochs: int, seed: int) -> float:
        return sum(by[name, epochs, seed]["seconds"] for name in chosen)

    def top(chosen: list[str], count: int, key: Callable[[str], float]) -> list[str]:
        return sorted(chosen, key=lambda name: (-key(name), names.index(name)))[: max(1, count)]

    def loss(name: str) -> float:
        return -float(by[name, first, SHORT_SEED]["late_loss"])

    def accuracy(epochs: int, seed: int) -> Callable[[str], float]:
        return lambda name: float(by[name, epochs, seed]["history"][-1]["accuracy"])

    def full(chosen: list[str]) -> str:
        return top(chosen, 1, lambda name: float(by[name, FULL, LABEL_SEEDS[0]]["selection"]))[0]

    tenth, third = round(len(names) / 10), round(len(names) / 3)
    policies: dict[str, tuple[str, float]] = {"all in full": (full(names), full_s)}
    for what, key in (("accuracy", accuracy(first, SHORT_SEED)), ("loss", loss)):
        chosen = top(names, tenth, key)
        cost = seconds(names, first, SHORT_SEED) + seconds(chosen, FULL, LABEL_SEEDS[0])
        policies[f"{first} epoch by {what}, a tenth in full"] = full(chosen), cost
        climbed = top(names, third, key)
        finalists = top(climbed, tenth, accuracy(second, SHORT_SEED))
        cost = seconds(names, first, SHORT_SEED) + seconds(climbed, second, SHORT_SEED)
        cost += seconds(finalists, FULL, LABEL_SEEDS[0])
        policies[f"rungs: {first} epoch by {what}, a third {second}, a tenth in full"] = full(finalists), cost
    print("\n| policy | cost (all in full = 1) | regret, points |\n|---|---|---|")
    print(f"| random | 0 | {100 * (best - statistics.mean(label.values())):.2f} |")
    for name, (pick, cost) in policies.items():
        print(f"| {name} | {cost / full_s:.2f} | {100 * (best - label[pick]):.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("train", "show"))
    parser.add_argument("--data", type=Path, help="CIFAR-10 as train/ and test/ with a folder a class")
    parser.add_argument("--core", type=int, help="train on this core alone")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    if options.part == "show":
        show()
    elif options.data is None:
        parser.error("train needs --data")
    else:
        run(options.data)


if __name__ == "__main__":
    main()
