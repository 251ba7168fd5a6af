"""The best networks of the table against what a user would take instead, each against the other's own front.

    python benchmarks/search/by_hand.py choose  train the finalists of the table in full; the best ones win
    python benchmarks/search/by_hand.py measure  scale the published networks [--sizes 28 20]; all latencies in one go
    python benchmarks/search/by_hand.py train  train them all [--seeds 3]
    python benchmarks/search/by_hand.py show  leads at equal latency with intervals, speed at no less accuracy

table.py is a search of 520 random trials, trained with the quick template's proxy. As in a search, the most
accurate trials that meet a target (of five) are trained in full with one seed, and the selection part says which wins.
What stands against them: MobileNetV2 and MnasNet-A1, scaled to the winner's own latency by width at each of the given
input sizes, and doing nothing clever: the template's plain skeletons (one operator, 3x3, identity, base layers) at each
of the space's widths. All are trained alike, longer than the template does. Trainings are resumable, and a second
process can do them `--backwards` until the two meet. Results lie in by_hand/.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import fronts
import numpy as np
from fronts import Network
from table import ACCURACY, LATENCY, TEMPLATE, append, quick_space, rows

from mnascli.engine.benches.bench import open_bench
from mnascli.engine.config import resolve
from mnascli.engine.targets import median_ms, scale_to_latency
from mnascli.space import Architecture
from mnascli.training.pictures import DataRequest

FOLDER = Path(__file__).with_name("by_hand")
NETWORKS, TRAININGS = FOLDER / "networks.csv", FOLDER / "trainings.csv"
TARGETS_MS = (0.035, 0.05, 0.07, 0.1, 0.14)
MODELS = ("mobilenet-v2", "mnasnet-a1")
EPOCHS = 8
FINALISTS = 3
BAND = 0.7  # one epoch favours fast networks: without it the same few would win at every target
FOUND = "found"
TEST_IMAGES = 1500


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


def skeletons() -> dict[str, Architecture]:
    """The plain networks of the space: every decision alike in all blocks, nothing but operator and width chosen."""
    space = quick_space()
    plain = {"kernel": 3, "se": 0, "skip": "identity", "layers": 0}
    found = {}
    for operator in ("conv", "sep", "mbconv3", "mbconv6"):
        for width in (0.75, 1.0, 1.25):
            wanted = {**plain, "operator": operator, "filters": width}
            choices = [decision.choices.index(wanted[decision.tag.partition(".")[2]]) for decision in space.decisions]
            found[f"plain {operator} x{width:g}"] = space.decode(choices)
    return found


def measure(sizes: list[int]) -> None:
    bench = open_bench("host")
    selection = {row["architecture"]: float(row["selection"]) for row in rows(TRAININGS) if row["seed"] == "0"}
    networks: dict[str, Architecture] = {}
    try:
        for target_ms, candidates in finalists().items():
            found = max(candidates, key=lambda one: selection[str(one)])
            networks[f"{FOUND} for {target_ms:g}"] = found
            found_ms = median_ms(bench.measure([found])[0], FOUND)
            for model in MODELS:
                for size in sizes:
                    width, scaled = scale_to_latency(bench, quick_space(size), model, found_ms)
                    networks[f"{model} x{width:g} at {size}"] = scaled
        networks |= skeletons()
        results = bench.measure(list(networks.values()))
    finally:
        bench.close()
    NETWORKS.unlink(missing_ok=True)
    for (name, architecture), latency in zip(networks.items(), results, strict=True):
        append(NETWORKS, name=name, architecture=str(architecture), latency_ms=f"{median_ms(latency, name):.5f}")


def train(wanted: list[tuple[str, int]]) -> None:
    config = resolve(str(TEMPLATE), None, {"final": {"recipe": {"epochs": EPOCHS}}})
    for text, seed in wanted:
        if (text, str(seed)) in {(row["architecture"], row["seed"]) for row in rows(TRAININGS)}:
            continue
        architecture, recipe = Architecture.parse(text), config.final.recipe
        data = DataRequest(config.data, architecture.size, architecture.channels, config.on_broken_image).load(recipe)
        append(TRAININGS, architecture=text, seed=seed, **fronts.train_once(architecture, data, recipe, seed))


def trained() -> dict[str, list[Network]]:
    """Networks by family, those of which there are as many seeds as of any; the fastest first."""
    right: dict[str, dict[int, fronts.Right]] = {}
    for row in rows(TRAININGS):
        right.setdefault(row["architecture"], {})[int(row["seed"])] = fronts.unpack(row["right"], TEST_IMAGES)
    seeds = max(len(right.get(row["architecture"], {})) for row in rows(NETWORKS))
    families: dict[str, list[Network]] = {}
    for row in sorted(rows(NETWORKS), key=lambda row: float(row["latency_ms"])):
        of_seed = right.get(row["architecture"], {})
        if len(of_seed) == seeds:
            rights = np.stack([of_seed[seed] for seed in sorted(of_seed)])
            family = row["name"].split(" x")[0].split(" for ")[0]
            families.setdefault(family, []).append(Network(row["name"], float(row["latency_ms"]), rights))
    return families


def show() -> None:
    families = trained()
    found = families.pop(FOUND)
    families["plain skeleton"] = [
        one for name in [name for name in families if name.startswith("plain ")] for one in families.pop(name)
    ]
    print(f"{EPOCHS} epochs each, {len(found[0].right)} seeds, {TEST_IMAGES} test images\n")
    fronts.show(found, families)
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
