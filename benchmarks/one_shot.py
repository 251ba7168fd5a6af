"""Shared weights against training each candidate: what they cost, what they find, and whether they rank alike.

    python benchmarks/one_shot.py search      searches both ways, with the same searcher, target and final training
    python benchmarks/one_shot.py alone       architectures of benchmarks/table.py, each trained in full
    python benchmarks/one_shot.py rank        supernets, and their children's accuracies of those architectures
    python benchmarks/one_shot.py show        the tables, of what there is

Each part goes on where it was stopped; results lie in benchmarks/one_shot/. All on the quick template: its space, its
final recipe, its searcher. `search` makes real runs (`mnas runs show`); both ways get the target of seed 0's first run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from table import ACCURACY, append, architectures, quick_space, rows

from mnascli import nets
from mnascli.engine import pipeline
from mnascli.engine.config import Config, load, resolve
from mnascli.engine.job import begin, load_data, resume
from mnascli.nets.supernet import Supernet
from mnascli.runs import read_state
from mnascli.search.ranking import kendall_tau
from mnascli.space import Architecture
from mnascli.training.loop import train
from mnascli.training.one_shot import Uniform, calibrated, train_supernet
from mnascli.training.scoring import evaluate

FOLDER = Path(__file__).with_name("one_shot")
ALONE, SHARED = FOLDER / "alone.csv", FOLDER / "shared.csv"
RANKED = 30
PARTS = ("validation", "selection", "test")  # all count in the stand-alone accuracy: what it is to be told apart by
RECIPE = {
    "epochs": 60,
    "batch_size": 64,
    "optimizer": "sgd",
    "learning_rate": 0.8,
    "warmup_epochs": 1.0,
    "clip_gradient_norm": 5.0,
    "channels_last": False,
}
WAYS: dict[str, dict[str, Any]] = {
    "training": {"evaluator": "training"},
    "supernet": {"evaluator": "supernet", "supernet": {"recipe": RECIPE, "warmup": 0.0, "latency": "measured"}},
}


def configuration(way: str, **changes: Any) -> Config:
    final = {"finalists": 3, "seeds": 3, "compare": [], "export": False}
    return resolve("quick", None, {**WAYS[way], "final": final, **changes})


def search(seeds: int, trials: int, epochs: int) -> None:
    """One run for each way and seed; the trials are the same number, so that only their accuracies differ."""
    target_ms = None
    for seed in range(seeds):
        for way in WAYS:
            path = FOLDER / "runs" / f"{way}-seed{seed}"
            recipe = {"recipe": {**RECIPE, "epochs": epochs}} if way == "supernet" else {}
            config = configuration(way, seed=seed, trials=trials, target_ms=target_ms, supernet=recipe)
            job = resume(path) if path.exists() else begin(config, path)
            try:
                pipeline.run_all(job)
                target_ms = job.run.state.targets_ms
            finally:
                job.close()


def train_alone(seeds: int, count: int) -> None:
    config = configuration("training")
    dataset = load_data(config)
    for seed in range(seeds):
        for digits in architectures(quick_space(), count):
            if not any(row["architecture"] == digits and int(row["seed"]) == seed for row in rows(ALONE)):
                began = time.process_time()
                network = nets.build(decode(digits), seed)
                train(network, dataset, config.final.recipe, seed=seed, threads=1)
                parts = {part: f"{evaluate(network, getattr(dataset, part), dataset).top1:.5f}" for part in PARTS}
                append(ALONE, architecture=digits, seed=seed, **parts, cpu_s=f"{time.process_time() - began:.1f}")


def rank(seeds: int, count: int, epochs: int) -> None:
    """Train a supernet for each seed, resumably, and read off the accuracy of each architecture."""
    config = configuration("supernet", supernet={"recipe": {**RECIPE, "epochs": epochs}})
    dataset = load_data(config)
    space, settings = quick_space(), config.supernet
    for seed in range(seeds):
        done = {row["architecture"] for row in rows(SHARED) if (int(row["seed"]), int(row["epochs"])) == (seed, epochs)}
        missing = [digits for digits in architectures(space, count) if digits not in done]
        if not missing:
            continue
        torch.manual_seed(seed)
        supernet = Supernet(space)
        folder = FOLDER / "supernets" / f"{epochs}-epochs-seed{seed}"
        train_supernet(
            supernet,
            dataset,
            settings.recipe,
            Uniform(space, seed),
            warmup=settings.warmup,
            seed=seed,
            threads=1,
            folder=folder,
            on_epoch=lambda epoch, loss: print(f"epoch {epoch}: loss {loss:.3f}", flush=True),
        )
        for digits in missing:
            accuracy = evaluate(calibrated(supernet, decode(digits), dataset), dataset.validation, dataset).top1
            append(SHARED, architecture=digits, seed=seed, epochs=epochs, validation=f"{accuracy:.5f}")


def show() -> None:
    show_searches()
    alone: dict[str, list[float]] = {}
    for row in rows(ALONE):
        alone.setdefault(row["architecture"], []).append(statistics.mean(float(row[part]) for part in PARTS))
    full = {digits: statistics.mean(accuracies) for digits, accuracies in alone.items()}
    seeds = min((len(accuracies) for accuracies in alone.values()), default=0)
    print(f"\nKendall's tau with the accuracy after full training ({len(full)} architectures, {seeds} seeds or more)\n")
    print("| judged by | architectures | tau | p |\n|---|---|---|---|")
    short = {row["architecture"]: float(row["validation"]) for row in rows(ACCURACY) if row["seed"] == "0"}
    print_tau("training each for one epoch", short, full)
    for key in sorted({(int(row["epochs"]), int(row["seed"])) for row in rows(SHARED)}):
        shared = {r["architecture"]: float(r["validation"]) for r in rows(SHARED)
                  if (int(r["epochs"]), int(r["seed"])) == key}  # fmt: skip
        print_tau(f"a supernet of {key[0]} epochs, seed {key[1]}", shared, full)


def print_tau(name: str, judged: dict[str, float], full: dict[str, float]) -> None:
    both = [digits for digits in full if digits in judged]
    tau, p_value = kendall_tau([judged[digits] for digits in both], [full[digits] for digits in both])
    print(f"| {name} | {len(both)} | {tau:.2f} | {p_value:.3f} |")


def show_searches() -> None:
    print("| way | seed | samples trained on | search, minutes | winner, ms | winner, test accuracy |")
    print("|---|---|---|---|---|---|")
    for path in sorted((FOLDER / "runs").glob("*-seed*")):
        state, config = read_state(path), load(path / "config.yaml")
        if not state.is_finished:
            continue
        images = len(load_data(config).train.labels)
        each = len(state.trials) * config.proxy.epochs
        epochs = config.supernet.recipe.epochs if config.evaluator == "supernet" else each
        (winner,) = state.compared.values()
        tests = [run["test"] for (name, _), run in state.long_runs.items() if name == winner["model"]]
        milliseconds = next(iter(winner["latency_ms"].values()))
        minutes = (max(trial.ended or 0.0 for trial in state.trials.values()) - (state.began or 0.0)) / 60
        accuracy = f"{statistics.mean(tests):.4f} ({len(tests)} seeds)"
        print(f"| {config.evaluator} | {config.seed} | {epochs * images:,} | {minutes:.1f} | {milliseconds:.3f} "
              f"| {accuracy} |")  # fmt: skip


def decode(digits: str) -> Architecture:
    return quick_space().decode([int(digit) for digit in digits])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("search", "alone", "rank", "show"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=200, help="of each search")
    parser.add_argument("--epochs", type=int, default=RECIPE["epochs"], help="of the supernet")
    parser.add_argument("--architectures", type=int, default=RANKED, help="to be ranked")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    match arguments.part:
        case "search":
            search(arguments.seeds, arguments.trials, arguments.epochs)
        case "alone":
            train_alone(arguments.seeds, arguments.architectures)
        case "rank":
            rank(arguments.seeds, arguments.architectures, arguments.epochs)
        case "show":
            show()


if __name__ == "__main__":
    main()
