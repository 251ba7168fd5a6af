"""The best networks of the table against what a user would take instead: MobileNetV2 and MnasNet-A1, scaled by hand.

    python benchmarks/by_hand.py choose      train the finalists of the table in full; the best ones win
    python benchmarks/by_hand.py measure     scale the published networks [--sizes 28 20]; all latencies in one go
    python benchmarks/by_hand.py train       train them all [--seeds 3]
    python benchmarks/by_hand.py show        accuracy at equal latency, speed at equal accuracy

benchmarks/table.py is a search of 520 random trials, trained with the quick template's proxy. As in a search, the most
accurate trials that meet a target (of five) are trained in full with one seed, and the selection part says which wins.
The published networks are scaled to the winner's own latency by width, at each of the given input sizes. All are
trained alike, longer than the template does. Trainings are resumable, and a second process can do them `--backwards`
until the two meet. Results lie in benchmarks/by_hand/.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from pathlib import Path

from table import ACCURACY, LATENCY, append, quick_space, rows

from mnascli import nets
from mnascli.engine.bench import open_bench
from mnascli.engine.candidate import DataRequest
from mnascli.engine.config import resolve
from mnascli.engine.targets import median_ms, scale_to_latency
from mnascli.space import Architecture
from mnascli.training.loop import train as train_network
from mnascli.training.scoring import evaluate

FOLDER = Path(__file__).with_name("by_hand")
NETWORKS, TRAININGS = FOLDER / "networks.csv", FOLDER / "trainings.csv"
TARGETS_MS = (0.035, 0.05, 0.07, 0.1, 0.14)
MODELS = ("mobilenet-v2", "mnasnet-a1")
EPOCHS = 8
FINALISTS = 3
BAND = 0.7  # one epoch favours fast networks: without it the same few would win at every target
FOUND = "found"


def finalists() -> dict[float, list[Architecture]]:
    """For each target those between BAND and all of it that were the most accurate in their first training."""
    space = quick_space()
    latencies = {row["architecture"]: float(row["median_ms"]) for row in rows(LATENCY)}
    accuracies = {row["architecture"]: float(row["validation"]) for row in rows(ACCURACY) if row["seed"] == "0"}
    chosen = {}
    for target_ms in TARGETS_MS:
        meeting = [digits for digits in accuracies if BAND <= latencies.get(digits, math.inf) / target_ms <= 1]
        best = sorted(meeting, key=lambda digits: (-accuracies[digits], latencies[digits]))[:FINALISTS]
        chosen[target_ms] = [space.decode([int(digit) for digit in digits]) for digits in best]
    return chosen


def measure(sizes: list[int]) -> None:
    bench = open_bench("host")
    selection = {row["architecture"]: float(row["selection"]) for row in rows(TRAININGS) if row["seed"] == "0"}
    networks: list[tuple[float, str, Architecture]] = []
    try:
        for target_ms, candidates in finalists().items():
            found = max(candidates, key=lambda one: selection[str(one)])
            networks.append((target_ms, FOUND, found))
            found_ms = median_ms(bench.measure([found])[0], FOUND)
            for model in MODELS:
                for size in sizes:
                    width, scaled = scale_to_latency(bench, quick_space(size), model, found_ms)
                    networks.append((target_ms, f"{model} x{width:g} at {size}", scaled))
        results = bench.measure([architecture for *_, architecture in networks])
    finally:
        bench.close()
    NETWORKS.unlink(missing_ok=True)
    for (target_ms, name, architecture), latency in zip(networks, results, strict=True):
        append(NETWORKS, target_ms=target_ms, name=name, architecture=str(architecture),
               latency_ms=f"{median_ms(latency, name):.5f}")  # fmt: skip


def train(wanted: list[tuple[str, int]]) -> None:
    config = resolve("quick", None, {"final": {"recipe": {"epochs": EPOCHS}}})
    for text, seed in wanted:
        if (text, str(seed)) in {(row["architecture"], row["seed"]) for row in rows(TRAININGS)}:
            continue
        began = time.process_time()
        architecture, recipe = Architecture.parse(text), config.final.recipe
        data = DataRequest(config.data, architecture.size, architecture.channels, config.on_broken_image).load(recipe)
        network = nets.build(architecture, seed)
        train_network(network, data, recipe, seed=seed, threads=1)
        parts = {part: f"{evaluate(network, getattr(data, part), data).top1:.5f}" for part in ("selection", "test")}
        append(TRAININGS, architecture=text, seed=seed, **parts, cpu_s=f"{time.process_time() - began:.1f}")


def show() -> None:
    tests: dict[str, list[float]] = {}
    for row in rows(TRAININGS):
        tests.setdefault(row["architecture"], []).append(float(row["test"]))
    networks = [(row, float(row["latency_ms"]), tests[row["architecture"]]) for row in rows(NETWORKS)
                if row["architecture"] in tests]  # fmt: skip
    print(f"{EPOCHS} epochs each; test accuracy over {min(len(test) for *_, test in networks)} seeds or more\n")
    print("| up to ms | network | latency ms | test accuracy | against the found one | its speed at no less accuracy |")
    print("|---|---|---|---|---|---|")
    found = [(latency_ms, statistics.mean(test)) for row, latency_ms, test in networks if row["name"] == FOUND]
    here = 0.0
    for row, latency_ms, test in networks:
        mean = statistics.mean(test)
        spread = f" ± {statistics.stdev(test):.3f}" if len(test) > 1 else ""
        against = speed = ""
        if row["name"] == FOUND:
            here = mean
        else:
            against = f"{100 * (here - mean):+.1f} points"
            fastest = min((ms for ms, accuracy in found if accuracy >= mean), default=None)
            speed = "none found" if fastest is None else f"{latency_ms / fastest:.2f} times"
        print(f"| {row['target_ms']} | {row['name']} | {latency_ms:.3f} | {mean:.3f}{spread} | {against} | {speed} |")
    print(f"\nhours of processor time: {sum(float(row['cpu_s']) for row in rows(TRAININGS)) / 3600:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("choose", "measure", "train", "show"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[28], help="inputs that networks are scaled to")
    parser.add_argument("--backwards", action="store_true", help="train from the last to the first, beside another")
    arguments = parser.parse_args()
    direction = -1 if arguments.backwards else 1
    match arguments.what:
        case "choose":
            train([(str(one), 0) for some in finalists().values() for one in some][::direction])
        case "measure":
            measure(arguments.sizes)
        case "train":
            texts = [row["architecture"] for row in rows(NETWORKS)]
            # Seed by seed, so that a stopped benchmark has all networks.
            train([(text, seed) for seed in range(arguments.seeds) for text in texts][::direction])
        case "show":
            show()


if __name__ == "__main__":
    main()
