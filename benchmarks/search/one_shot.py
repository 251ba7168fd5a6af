"""Shared weights against training each candidate: what they cost, what they find, and whether they rank alike.

    python benchmarks/search/one_shot.py rank  supernets, and their children's accuracies of the table's architectures
    python benchmarks/search/one_shot.py alone  architectures of the table, each trained for longer
    python benchmarks/search/one_shot.py inherit  the same ones, their training begun with their share of the supernet
    python benchmarks/search/one_shot.py finalists  the same for the best of each way of judging at each target
    python benchmarks/search/one_shot.py show  the tables, of what there is

Each part is resumed where it stopped; results lie in one_shot/. All on the quick template's space and data.

Both ways judge the same candidates, architectures of table.py with their latencies measured there: training
each for an epoch (the table's seed 0), or with the weights of a supernet. The best few within a target are trained for
longer, the best of them on the selection part wins, and its test accuracy counts.

A way of judging and the trainings it is compared with share neither seed nor pictures: it is judged on the validation
part, they on selection and test, and only pairs of different seeds count, their tau being the mean over such pairs.
The ceiling is that of the trainings themselves, on validation, with those of another seed.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from table import ACCURACY, LATENCY, TEMPLATE, append, architectures, quick_space, rows

from mnascli import nets
from mnascli.engine.config import resolve
from mnascli.engine.opening import load_data
from mnascli.engine.shared_weights import new_supernet
from mnascli.nets.network import Network
from mnascli.nets.supernet import Supernet
from mnascli.search.ranking import kendall_tau, p_value_of
from mnascli.space import Architecture
from mnascli.training.loop import train
from mnascli.training.scoring import evaluate
from mnascli.training.supernet import Uniform, calibrated, train_supernet

FOLDER = Path(__file__).with_name("one_shot")
ALONE, INHERITED = FOLDER / "alone.csv", FOLDER / "inherited.csv"
SHARED, EPOCHS = FOLDER / "shared.csv", FOLDER / "epochs.csv"
EACH = "training each for an epoch"
RANKED = 30
FEWEST = 10  # architectures that a ranking is shown of
PARTS = ("validation", "selection", "test")  # all count in the stand-alone accuracy, where nothing is predicted
LONG_EPOCHS = 10  # of a stand-alone training, in batches of 64; all else as in the template's final one
QUANTILES = (0.25, 0.5, 0.75)  # of the candidates' latencies: the targets
FINALISTS = 2  # of each way and target
CONFIG = resolve(str(TEMPLATE), None, {"evaluator": "supernet"})
SPACE = quick_space()

Begin = Callable[[Architecture, int], Network]  # the network that a training begins with, for a seed
BySeed = dict[int, dict[str, float]]  # accuracies by architecture


def train_alone(file: Path, begin: Begin, wanted: list[str], seeds: int, epochs: int) -> None:
    """Train for so many epochs what `file` lacks of the wanted architectures, one seed after the other."""
    dataset = load_data(CONFIG)
    recipe = CONFIG.final.recipe.model_copy(update={"epochs": epochs, "batch_size": 64})
    for seed in range(seeds):
        for digits in wanted:
            done = {(row["architecture"], row["epochs"], row["seed"]) for row in rows(file)}
            if (digits, str(epochs), str(seed)) not in done:
                began = time.process_time()
                network = begin(decode(digits), seed)
                train(network, dataset, recipe, seed=seed, threads=1)
                parts = {part: f"{evaluate(network, getattr(dataset, part), dataset).top1:.5f}" for part in PARTS}
                append(file, architecture=digits, epochs=epochs, seed=seed, **parts,
                       cpu_s=f"{time.process_time() - began:.1f}")  # fmt: skip


class Training(NamedTuple):
    """What tells the supernets apart, as it stands in the tables."""

    epochs: int
    warmup: float
    seed: int

    def __str__(self) -> str:
        return f"supernet, {self.epochs} epochs, warm-up {self.warmup:g}, seed {self.seed}"


def training_of(row: dict[str, str]) -> Training:
    return Training(int(row["epochs"]), float(row["warmup"]), int(row["seed"]))


def rank(training: Training, count: int) -> None:
    """Read off a supernet's accuracy of each architecture."""
    dataset, key = load_data(CONFIG), training._asdict()
    done = {row["architecture"] for row in rows(SHARED) if training_of(row) == training}
    missing = [digits for digits in architectures(SPACE, count) if digits not in done]
    if not missing:
        return
    supernet = trained_supernet(training)
    for digits in missing:
        began = time.process_time()
        accuracy = evaluate(calibrated(supernet, decode(digits), dataset), dataset.validation, dataset).top1
        append(SHARED, architecture=digits, **key, validation=f"{accuracy:.5f}",
               cpu_s=f"{time.process_time() - began:.2f}")  # fmt: skip


def trained_supernet(training: Training) -> Supernet:
    """Train it, resumably: what was trained already is only read."""
    supernet, spent_s = new_supernet(SPACE, training.seed), [time.process_time()]

    def on_epoch(epoch: int, loss: float) -> None:
        spent_s.append(time.process_time())
        cpu_s = spent_s[-1] - spent_s[-2]
        append(EPOCHS, **training._asdict(), epoch=epoch, loss=f"{loss:.4f}", cpu_s=f"{cpu_s:.1f}")

    train_supernet(
        supernet,
        load_data(CONFIG),
        CONFIG.supernet.recipe.model_copy(update={"epochs": training.epochs}),
        Uniform(SPACE, training.seed),
        warmup=training.warmup,
        seed=training.seed,
        threads=1,
        folder=FOLDER / "supernets" / "-".join(map(str, training)),
        on_epoch=on_epoch,
    )
    return supernet


def ways() -> dict[str | Training, dict[str, float]]:
    """Validation accuracies by architecture, for each way of judging."""
    found: dict[str | Training, dict[str, float]] = {EACH: {}}
    for row in rows(ACCURACY):
        if row["seed"] == "0":
            found[EACH][row["architecture"]] = float(row["validation"])
    for row in rows(SHARED):
        found.setdefault(training_of(row), {})[row["architecture"]] = float(row["validation"])
    return found


def judges() -> dict[str | Training, BySeed]:
    """As `ways`, for every seed of judging."""
    found: dict[str | Training, BySeed] = {EACH: trainings("validation")["1 epoch"]}
    for way, accuracies in ways().items():
        if isinstance(way, Training):
            found[way] = {way.seed: accuracies}
    return found


def trainings(*parts: str) -> dict[str, BySeed]:
    """By kind and seed the accuracies of the ranked architectures, means over those of the parts that there are."""
    ranked = set(architectures(SPACE, RANKED))
    found: dict[str, BySeed] = {}
    for file, suffix in ((ACCURACY, ""), (ALONE, ""), (INHERITED, ", inherited")):
        for row in rows(file):
            if row["architecture"] in ranked:
                kind = (f"{row['epochs']} epochs" if "epochs" in row else "1 epoch") + suffix
                accuracy = statistics.mean(float(row[part]) for part in parts if part in row)
                found.setdefault(kind, {}).setdefault(int(row["seed"]), {})[row["architecture"]] = accuracy
    return found


def in_full() -> dict[str, dict[str, list[float]]]:
    """By kind of training the accuracies of each of the ranked architectures, means over parts, a value a seed."""
    ranked = architectures(SPACE, RANKED)
    found: dict[str, dict[str, list[float]]] = {}
    for file, parts, suffix in ((ACCURACY, PARTS[::2], ""), (ALONE, PARTS, ""), (INHERITED, PARTS, ", inherited")):
        for row in rows(file):
            if row["architecture"] in ranked:
                length = f"{row['epochs']} epochs" if "epochs" in row else "1 epoch"
                of_kind = found.setdefault(length + suffix, {})
                of_kind.setdefault(row["architecture"], []).append(statistics.mean(float(row[part]) for part in parts))
    return {kind: by_architecture for kind, by_architecture in found.items() if len(by_architecture) >= FEWEST}


def show() -> None:
    trained = in_full()
    means = {kind: {one: statistics.mean(values) for one, values in by.items()} for kind, by in trained.items()}
    print("Kendall's tau with the accuracy after trainings of so many epochs, new or begun with inherited weights, of")
    print("other seeds and on other pictures (p-value, architectures, pairs of seeds)\n")
    print(f"| judged by | {' | '.join(trained)} | images trained on | processor, s |")
    print("|---" * (len(trained) + 3) + "|")
    images = len(load_data(CONFIG).train.labels)
    labels, themselves = trainings("selection", "test"), trainings("validation")
    for way, by_seed in judges().items():
        taus = [tau_text(by_seed, labels[kind]) for kind in trained]
        print(f"| {way} | {' | '.join(taus)} | {cost_text(way, images)} |")
    taus = [tau_text(themselves[kind], labels[kind]) for kind in trained]
    print(f"| ceiling: that training itself | {' | '.join(taus)} | - | - |")
    print("\n| trained for | architectures | seeds | accuracy, mean | spread | of a seed | that of new weights |")
    print("|---|---|---|---|---|---|---|")
    for kind, by_architecture in trained.items():
        new = means.get(kind.removesuffix(", inherited"), {})
        same = [new[one] for one in by_architecture if one in new]
        counts = [len(values) for values in by_architecture.values()]
        variances = [statistics.variance(values) for values in by_architecture.values() if len(values) > 1]
        noise = f"{statistics.mean(variances) ** 0.5:.4f}" if variances else "-"
        mean, spread = statistics.mean(means[kind].values()), statistics.stdev(means[kind].values())
        print(f"| {kind} | {len(counts)} | {min(counts)} to {max(counts)} | {mean:.4f} | {spread:.4f} | {noise} "
              f"| {statistics.mean(same):.4f} |")  # fmt: skip
    show_likes({**means, **{str(way): accuracies for way, accuracies in ways().items() if isinstance(way, Training)}})
    show_finalists()


def show_likes(judged: dict[str, dict[str, float]]) -> None:
    """Which of the ranked architectures come out ahead: those of many layers, large kernels, identity skips?"""
    print("\n| Kendall's tau of the accuracies with the number of | layers | 5x5 kernels | identity skips |")
    print("|---|---|---|---|")
    for kind, accuracies in judged.items():
        ranked = [digits for digits in architectures(SPACE, RANKED) if digits in accuracies]
        blocks = [decode(digits).blocks for digits in ranked]
        numbers = [
            [sum(block.repeats for block in some) for some in blocks],
            [sum(block.kernel == 5 for block in some) for some in blocks],
            [sum(block.skip == "identity" for block in some) for some in blocks],
        ]
        values = [accuracies[digits] for digits in ranked]
        taus = [kendall_tau([float(number) for number in some], values) for some in numbers]
        print(f"| {kind} | " + " | ".join(f"{tau:.2f} (p {p_value:.3f})" for tau, p_value in taus) + " |")


def tau_text(judged: BySeed, trained: BySeed) -> str:
    """The mean tau over pairs of different seeds; '-' where no pair has enough architectures in common."""
    taus, counts = [], []
    for seed, other in itertools.product(judged, trained):
        both = sorted(judged[seed].keys() & trained[other].keys())
        if seed != other and len(both) >= FEWEST:
            taus.append(kendall_tau(*([of[one] for one in both] for of in (judged[seed], trained[other]))).tau)
            counts.append(len(both))
    if not taus:
        return "-"
    tau, fewest = statistics.mean(taus), min(counts)
    return f"{tau:.2f} (p {p_value_of(tau, fewest):.3f}, {fewest}, {len(taus)})"


def cost_text(way: str | Training, images: int) -> str:
    """Images and processor seconds: of training each candidate of the table, or of a supernet and its children."""
    if not isinstance(way, Training):
        each = [float(row["seconds"]) for row in rows(ACCURACY) if row["seed"] == "0"]
        return f"{len(each) * images:,} | {sum(each):.0f} (wall) for {len(each)} candidates"
    training_s = sum(float(row["cpu_s"]) for row in rows(EPOCHS) if training_of(row) == way)
    judging_s = [float(row["cpu_s"]) for row in rows(SHARED) if training_of(row) == way]
    return f"{way.epochs * images:,} | {training_s:.0f} + {sum(judging_s):.0f} for {len(judging_s)} candidates"


def finalists() -> dict[float, dict[str | Training, list[str]]]:
    """By target in ms and way of judging: the best few among the candidates that all ways have judged."""
    judged = {way: accuracies for way, accuracies in ways().items() if len(accuracies) > RANKED}
    latencies = {row["architecture"]: float(row["median_ms"]) for row in rows(LATENCY)}
    common = [digits for digits in latencies if all(digits in accuracies for accuracies in judged.values())]
    ordered = sorted(latencies[digits] for digits in common)
    best: dict[float, dict[str | Training, list[str]]] = {}
    for quantile in QUANTILES:
        target_ms = ordered[int(quantile * (len(ordered) - 1))]
        within = [digits for digits in common if latencies[digits] <= target_ms]
        best[target_ms] = {
            way: sorted(within, key=accuracies.__getitem__, reverse=True)[:FINALISTS]
            for way, accuracies in judged.items()
        }
    return best


def show_finalists() -> None:
    latencies = {row["architecture"]: float(row["median_ms"]) for row in rows(LATENCY)}
    print(f"\nthe best of {FINALISTS} after {LONG_EPOCHS} epochs, those of a supernet begun with inherited weights\n")
    print("| target, ms | way | winner, ms | test accuracy | seeds |\n|---|---|---|---|---|")
    for target_ms, by_way in finalists().items():
        for way, some in by_way.items():
            trained: dict[str, list[dict[str, str]]] = {}
            for row in rows(INHERITED if isinstance(way, Training) else ALONE):
                if int(row["epochs"]) == LONG_EPOCHS:
                    trained.setdefault(row["architecture"], []).append(row)
            if not all(digits in trained for digits in some):
                continue
            selection = {one: float(trained[one][0]["selection"]) for one in some}  # of the first seed
            winner = max(some, key=selection.__getitem__)
            tests = [float(row["test"]) for row in trained[winner]]
            spread = f" ± {statistics.stdev(tests):.4f}" if len(tests) > 1 else ""
            print(f"| {target_ms:.3f} | {way} | {latencies[winner]:.3f} | {statistics.mean(tests):.4f}{spread} "
                  f"| {len(tests)} |")  # fmt: skip


def decode(digits: str) -> Architecture:
    return SPACE.decode([int(digit) for digit in digits])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("rank", "alone", "inherit", "finalists", "show"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=CONFIG.supernet.recipe.epochs, help="of the supernet")
    parser.add_argument("--warmup", type=float, default=CONFIG.supernet.warmup, help="of the supernet")
    parser.add_argument("--long", type=int, default=LONG_EPOCHS, help="epochs of a stand-alone training")
    parser.add_argument("--architectures", type=int, default=RANKED, help="to be judged or trained")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    ranked = architectures(SPACE, arguments.architectures)
    training = Training(arguments.epochs, arguments.warmup, 0)
    match arguments.part:
        case "rank":
            for seed in range(arguments.seeds):
                rank(training._replace(seed=seed), arguments.architectures)
        case "alone":
            train_alone(ALONE, nets.build, ranked, arguments.seeds, arguments.long)
        case "inherit":
            supernet = trained_supernet(training)
            train_alone(INHERITED, lambda one, _: supernet.extract(one), ranked, arguments.seeds, arguments.long)
        case "finalists":
            supernet = trained_supernet(training)
            for by_way in finalists().values():
                train_alone(ALONE, nets.build, by_way[EACH], arguments.seeds, LONG_EPOCHS)
                train_alone(
                    INHERITED, lambda one, _: supernet.extract(one), by_way[training], arguments.seeds, LONG_EPOCHS
                )
        case "show":
            show()


if __name__ == "__main__":
    main()
