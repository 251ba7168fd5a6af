"""Shared weights against training each candidate: what they cost, what they find, and whether they rank alike.

    python benchmarks/one_shot.py rank        supernets, and their children's accuracies of the table's architectures
    python benchmarks/one_shot.py alone       architectures of the table, each trained for longer
    python benchmarks/one_shot.py finalists   the same for the best of each way of judging at each target
    python benchmarks/one_shot.py show        the tables, of what there is

Each part goes on where it was stopped; results lie in benchmarks/one_shot/. All on the quick template's space and data.

Both ways judge the same candidates, architectures of benchmarks/table.py with their latencies measured there: training
each for an epoch (the table's seed 0), or with the weights of a supernet. The best few within a target are trained for
longer, the best of them on the selection part wins, and its test accuracy counts.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch
from table import ACCURACY, LATENCY, append, architectures, quick_space, rows

from mnascli import nets
from mnascli.engine.config import resolve
from mnascli.engine.job import load_data
from mnascli.nets.supernet import Supernet
from mnascli.search.ranking import kendall_tau
from mnascli.space import Architecture
from mnascli.training.loop import train
from mnascli.training.one_shot import Uniform, calibrated, train_supernet
from mnascli.training.scoring import evaluate

FOLDER = Path(__file__).with_name("one_shot")
ALONE, SHARED, EPOCHS = FOLDER / "alone.csv", FOLDER / "shared.csv", FOLDER / "epochs.csv"
RANKED = 30
PARTS = ("validation", "selection", "test")  # all count in the stand-alone accuracy: what it is to be told apart by
LONG = {"epochs": 3, "batch_size": 64}  # of a stand-alone training; all else as in the template's final one
QUANTILES = (0.25, 0.5, 0.75)  # of the candidates' latencies: the targets
FINALISTS = 2  # of each way and target
CONFIG = resolve("quick", None, {"evaluator": "supernet"})
SPACE = quick_space()


def train_alone(wanted: list[str], seeds: int) -> None:
    """Train in full what is missing of the wanted architectures, one seed after the other."""
    dataset = load_data(CONFIG)
    recipe = CONFIG.final.recipe.model_copy(update=LONG)
    for seed in range(seeds):
        for digits in wanted:
            if not any(row["architecture"] == digits and int(row["seed"]) == seed for row in rows(ALONE)):
                began = time.process_time()
                network = nets.build(decode(digits), seed)
                train(network, dataset, recipe, seed=seed, threads=1)
                parts = {part: f"{evaluate(network, getattr(dataset, part), dataset).top1:.5f}" for part in PARTS}
                append(ALONE, architecture=digits, seed=seed, **parts, cpu_s=f"{time.process_time() - began:.1f}")


def rank(seeds: int, count: int, epochs: int) -> None:
    """Train a supernet for each seed, resumably, and read off the accuracy of each architecture."""
    dataset, settings = load_data(CONFIG), CONFIG.supernet
    for seed in range(seeds):
        done = {row["architecture"] for row in rows(SHARED) if key_of(row) == (epochs, seed)}
        missing = [digits for digits in architectures(SPACE, count) if digits not in done]
        if not missing:
            continue
        torch.manual_seed(seed)
        supernet, spent_s = Supernet(SPACE), [time.process_time()]

        def on_epoch(epoch: int, loss: float) -> None:
            spent_s.append(time.process_time())  # noqa: B023
            cpu_s = spent_s[-1] - spent_s[-2]  # noqa: B023
            append(EPOCHS, seed=seed, epochs=epochs, epoch=epoch, loss=f"{loss:.4f}", cpu_s=f"{cpu_s:.1f}")  # noqa: B023

        train_supernet(
            supernet,
            dataset,
            settings.recipe.model_copy(update={"epochs": epochs}),
            Uniform(SPACE, seed),
            warmup=settings.warmup,
            seed=seed,
            threads=1,
            folder=FOLDER / "supernets" / f"{epochs}-epochs-seed{seed}",
            on_epoch=on_epoch,
        )
        for digits in missing:
            began = time.process_time()
            accuracy = evaluate(calibrated(supernet, decode(digits), dataset), dataset.validation, dataset).top1
            append(SHARED, architecture=digits, seed=seed, epochs=epochs, validation=f"{accuracy:.5f}",
                   cpu_s=f"{time.process_time() - began:.2f}")  # fmt: skip


def ways() -> dict[str, dict[str, float]]:
    """Validation accuracies by architecture, for each way of judging."""
    found: dict[str, dict[str, float]] = {}
    for row in rows(ACCURACY):
        if row["seed"] == "0":
            found.setdefault("training each for an epoch", {})[row["architecture"]] = float(row["validation"])
    for epochs, seed in sorted({key_of(row) for row in rows(SHARED)}):
        found[f"supernet, {epochs} epochs, seed {seed}"] = {
            row["architecture"]: float(row["validation"]) for row in rows(SHARED) if key_of(row) == (epochs, seed)
        }
    return found


def finalists() -> dict[float, dict[str, list[str]]]:
    """By target in ms and way of judging: the best few among the candidates that all ways have judged."""
    judged = ways()
    latencies = {row["architecture"]: float(row["median_ms"]) for row in rows(LATENCY)}
    common = [digits for digits in latencies if all(digits in accuracies for accuracies in judged.values())]
    ordered = sorted(latencies[digits] for digits in common)
    best: dict[float, dict[str, list[str]]] = {}
    for quantile in QUANTILES:
        target_ms = ordered[int(quantile * (len(ordered) - 1))]
        within = [digits for digits in common if latencies[digits] <= target_ms]
        best[target_ms] = {
            way: sorted(within, key=accuracies.__getitem__, reverse=True)[:FINALISTS]
            for way, accuracies in judged.items()
        }
    return best


def show() -> None:
    table: dict[str, list[float]] = {}
    for row in rows(ACCURACY):
        table.setdefault(row["architecture"], []).append((float(row["validation"]) + float(row["test"])) / 2)
    alone: dict[str, list[float]] = {}
    for row in rows(ALONE):
        if row["architecture"] in architectures(SPACE, RANKED):
            alone.setdefault(row["architecture"], []).append(statistics.mean(float(row[part]) for part in PARTS))
    print(
        f"Kendall's tau with the accuracy of stand-alone trainings, of {LONG['epochs']} epochs and of the table's one\n"
    )
    print(f"| judged by | tau, {LONG['epochs']} epochs | tau, one epoch | images trained on | processor, s |")
    print("|---|---|---|---|---|")
    images = len(load_data(CONFIG).train.labels)
    for way, accuracies in ways().items():
        against_table = "-" if way.startswith("training") else tau_text(accuracies, table)
        print(f"| {way} | {tau_text(accuracies, alone)} | {against_table} | {cost_text(way, images)} |")
    seeds = [len(accuracies) for accuracies in alone.values()]
    if seeds:
        print(f"\n{LONG['epochs']} epochs: {len(seeds)} architectures, {min(seeds)} to {max(seeds)} seeds")
    show_finalists()


def tau_text(judged: dict[str, float], trained: dict[str, list[float]]) -> str:
    both = [digits for digits in trained if digits in judged]
    if len(both) < 3:
        return "-"
    tau, p_value = kendall_tau([judged[one] for one in both], [statistics.mean(trained[one]) for one in both])
    return f"{tau:.2f} (p {p_value:.3f}, {len(both)})"


def cost_text(way: str, images: int) -> str:
    """Images and processor seconds of judging as many candidates as the supernets judged."""
    candidates = {row["architecture"] for row in rows(SHARED)}
    if way.startswith("training"):
        each = [
            float(row["seconds"]) for row in rows(ACCURACY) if row["seed"] == "0" and row["architecture"] in candidates
        ]
        return f"{len(each) * images:,} | {sum(each):.0f} (wall)"
    key = next(key_of(row) for row in rows(SHARED) if way == f"supernet, {row['epochs']} epochs, seed {row['seed']}")
    training_s = sum(float(row["cpu_s"]) for row in rows(EPOCHS) if key_of(row) == key)
    judging_s = sum(float(row["cpu_s"]) for row in rows(SHARED) if key_of(row) == key)
    return f"{key[0] * images:,} | {training_s:.0f} + {judging_s:.0f} for {len(candidates)} candidates"


def show_finalists() -> None:
    latencies = {row["architecture"]: float(row["median_ms"]) for row in rows(LATENCY)}
    trained: dict[str, list[dict[str, str]]] = {}
    for row in rows(ALONE):
        trained.setdefault(row["architecture"], []).append(row)
    print("\n| target, ms | way | winner, ms | test accuracy | seeds |\n|---|---|---|---|---|")
    for target_ms, by_way in finalists().items():
        for way, some in by_way.items():
            if not all(digits in trained for digits in some):
                continue
            selection = {one: statistics.mean(float(row["selection"]) for row in trained[one]) for one in some}
            winner = max(some, key=selection.__getitem__)
            tests = [float(row["test"]) for row in trained[winner]]
            print(
                f"| {target_ms:.3f} | {way} | {latencies[winner]:.3f} | {statistics.mean(tests):.4f} | {len(tests)} |"
            )


def key_of(row: dict[str, str]) -> tuple[int, int]:
    return int(row["epochs"]), int(row["seed"])


def decode(digits: str) -> Architecture:
    return SPACE.decode([int(digit) for digit in digits])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("rank", "alone", "finalists", "show"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=CONFIG.supernet.recipe.epochs, help="of the supernet")
    parser.add_argument("--architectures", type=int, default=RANKED, help="to be judged or trained")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    match arguments.part:
        case "rank":
            rank(arguments.seeds, arguments.architectures, arguments.epochs)
        case "alone":
            train_alone(architectures(SPACE, arguments.architectures), arguments.seeds)
        case "finalists":
            chosen = [digits for by_way in finalists().values() for some in by_way.values() for digits in some]
            train_alone(list(dict.fromkeys(chosen)), arguments.seeds)
        case "show":
            show()


if __name__ == "__main__":
    main()
