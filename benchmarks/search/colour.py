"""Does a search find better networks than a user would take without one? CIFAR-10 at 32 pixels, this host's latency.

    python benchmarks/search/colour.py search --data CIFAR10  every target and seed; resumable, 20 minutes each
    python benchmarks/search/colour.py measure  what was found and the baselines, all latencies in one go
    python benchmarks/search/colour.py train --data CIFAR10  all of them, alike; resumable, 2 minutes each
    python benchmarks/search/colour.py show  leads with intervals, speed at no less accuracy

What is found: the winners of `mnas search` with cifar.yaml, and of the same search that learns nothing (`random`: all
candidates are drawn as evolution draws its founders; same band, rungs and budget). Against them: MobileNetV2 and
MnasNet-A1 at several widths and input sizes, and the template's plain skeletons (one operator, 3x3, identity, base
layers) at several widths. All are trained anew with the same recipe and with seeds that no search used. A second
process on another core can work --backwards until the two meet. Results lie in cifar/, runs in --runs.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cifar
import fronts
import numpy as np
import yaml
from fronts import Network
from table import append, rows

from mnascli.engine.benches.bench import open_bench
from mnascli.engine.targets import median_ms
from mnascli.runs import is_run, read_state
from mnascli.runs.winner import winner
from mnascli.space import Architecture, network_id

FOLDER = Path(__file__).with_name("cifar")
CONFIG = Path(__file__).with_name("cifar.yaml")
SEARCHES, NETWORKS, TRAININGS = (FOLDER / f"{name}.csv" for name in ("searches", "networks", "trainings"))
TARGETS_MS = (0.06, 0.09, 0.13, 0.2)
SEARCHERS = ("evolution", "random")
SEEDS = 3
FIRST_SEED = 101  # of the trainings: none that a search has used
TEST_IMAGES = 10_000
PUBLISHED = {32: (0.1, 0.2, 0.35, 0.5), 24: (0.1, 0.2, 0.35, 0.5)}  # widths by input size
PLAIN = {
    "sep": (0.5, 0.75, 1.0, 1.25, 1.5, 2.0),
    "conv": (0.25, 0.5, 0.75),
    "mbconv3": (0.25, 0.5, 0.75),
}


def run_name(searcher: str, target_ms: float, seed: int) -> str:
    return f"{searcher}-{target_ms:g}-{seed}"


def search(source: Path, runs: Path, wanted: Sequence[tuple[str, float, int]]) -> None:
    """Run the searches, each of a searcher, a target and a seed, that are not done yet."""
    folder = source.with_name(f"{source.name}-{cifar.A_CLASS}")
    cifar.pictures(source, folder)
    runs.mkdir(parents=True, exist_ok=True)
    for name, target_ms, seed in wanted:
        run = run_name(name, target_ms, seed)
        if run in {row["run"] for row in rows(SEARCHES)}:
            continue
        command = [sys.executable, "-m", "mnascli.cli.main", "search", "--runs", str(runs)]
        if is_run(runs / run):
            command += ["--resume", str(runs / run)]
        else:
            command += ["--name", run, "--config", str(_config(runs, name)), "--data", str(folder)]
            command += ["--size", str(cifar.SIZE), "--target-ms", str(target_ms), "--seed", str(seed)]
        began = time.monotonic()
        if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode not in (0, 4):
            print(f"{run}: not done; another process may be at it", flush=True)
            continue
        state = read_state(runs / run)
        found = winner(state)
        if found is not None:
            append(SEARCHES, run=run, searcher=name, target_ms=target_ms, seed=seed, architecture=found.architecture,
                   latency_ms=f"{found.latency_ms['host']:.5f}", trials=len(state.trials),
                   wall_s=f"{time.monotonic() - began:.0f}")  # fmt: skip


def _config(runs: Path, searcher: str) -> Path:
    """The configuration of a searcher, as a file."""
    values = yaml.safe_load(CONFIG.read_text())
    if searcher == "random":  # founders only
        options = cifar.config().searcher.options
        values["searcher"] = {"name": "evolution", "options": {**options, "founders": values["trials"]}}
    path = runs / f"{searcher}.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def baselines() -> Iterator[tuple[str, str, Architecture]]:
    """Family, name and network of everything that what was found has to beat."""
    for model in ("mobilenet-v2", "mnasnet-a1"):
        known = set[str]()
        for size, widths in PUBLISHED.items():
            for width in widths:
                network = cifar.space().on(size=size).baseline(model, width)
                if network_id(network) not in known:  # filters are multiples of 8: narrow ones may be the same
                    known.add(network_id(network))
                    yield model, f"{model} x{width:g} at {size}", network
    for operator, plain_widths in PLAIN.items():
        for width in plain_widths:
            yield "plain skeletons", f"plain {operator} x{width:g}", cifar.space().baseline(f"plain-{operator}", width)


def measure() -> None:
    networks = {(row["searcher"], row["run"]): Architecture.parse(row["architecture"]) for row in rows(SEARCHES)}
    networks |= {(family, name): network for family, name, network in baselines()}
    bench = open_bench("host")
    try:
        results = bench.measure(list(networks.values()))
    finally:
        bench.close()
    NETWORKS.unlink(missing_ok=True)
    for ((family, name), network), latency in zip(networks.items(), results, strict=True):
        ms = median_ms(latency, name)
        append(NETWORKS, family=family, name=name, architecture=str(network), latency_ms=f"{ms:.5f}")


def train(source: Path, seeds: int, slowest_ms: float, backwards: bool) -> None:
    """Seed by seed, so that a benchmark that was stopped has all networks."""
    folder, recipe = source.with_name(f"{source.name}-{cifar.A_CLASS}"), cifar.config().final.recipe
    texts = [row["architecture"] for row in rows(NETWORKS) if float(row["latency_ms"]) <= slowest_ms]
    wanted = [(text, FIRST_SEED + seed) for seed in range(seeds) for text in dict.fromkeys(texts)]
    for text, seed in wanted[::-1] if backwards else wanted:
        if (text, str(seed)) in {(row["architecture"], row["seed"]) for row in rows(TRAININGS)}:
            continue
        architecture = Architecture.parse(text)
        data = cifar.pictures(source, folder, architecture.size)
        values = fronts.train_once(architecture, data, recipe, seed)
        append(TRAININGS, architecture=text, seed=seed, **values)
        print(f"{text} seed {seed}: {values['test']}", flush=True)


def trained() -> dict[str, list[Network]]:
    """Networks by family, those of which there are as many seeds as of any."""
    right: dict[str, dict[int, fronts.Right]] = {}
    for row in rows(TRAININGS):
        right.setdefault(row["architecture"], {})[int(row["seed"])] = fronts.unpack(row["right"], TEST_IMAGES)
    seeds = max((len(some) for some in right.values()), default=0)
    families: dict[str, list[Network]] = {}
    for row in rows(NETWORKS):
        of_seed = right.get(row["architecture"], {})
        if of_seed and len(of_seed) == seeds:
            rights = np.stack([of_seed[seed] for seed in sorted(of_seed)])
            network = Network(row["name"], float(row["latency_ms"]), rights)
            families.setdefault(row["family"], []).append(network)
    return families


def together(networks: list[Network]) -> list[Network]:
    """For each target one row of all searches: their mean latency, and the trainings of all their winners."""
    by_target: dict[str, list[Network]] = {}
    for network in networks:
        by_target.setdefault(network.name.rsplit("-", 1)[0], []).append(network)
    return [
        Network(f"{name} ({len(some)})", float(np.mean([one.latency_ms for one in some])),
                np.concatenate([one.right for one in some]))
        for name, some in by_target.items()
    ]  # fmt: skip


def show() -> None:
    families = trained()
    found = {name: together(families.pop(name)) for name in SEARCHERS if name in families}
    if not found or not families:
        print("nothing is trained yet: search, measure and train come first")
        return
    epochs = cifar.config().final.recipe.epochs
    print(f"{epochs} epochs each, {TEST_IMAGES} test images; in brackets the number of searches\n")
    others = {name: networks for name, networks in found.items() if name != SEARCHERS[0]}
    fronts.show(found[SEARCHERS[0]], {**others, **families})
    print("\n| target ms | searcher | seed | winner ms | share of the target | minutes |\n|---|---|---|---|---|---|")
    for row in sorted(rows(SEARCHES), key=lambda row: (float(row["target_ms"]), row["run"])):
        ms, target_ms = float(row["latency_ms"]), float(row["target_ms"])
        cells = row["target_ms"], row["searcher"], row["seed"], f"{ms:.4f}", f"{ms / target_ms:.2f}"
        print(f"| {' | '.join(cells)} | {float(row['wall_s']) / 60:.0f} |")
    print(f"\nhours of processor time for training: {sum(float(row['cpu_s']) for row in rows(TRAININGS)) / 3600:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("search", "measure", "train", "show"))
    parser.add_argument("--data", type=Path, help="CIFAR-10 as train/ and test/ with a folder a class")
    parser.add_argument("--runs", type=Path, default=Path("runs/cifar"))
    parser.add_argument("--searchers", nargs="+", choices=SEARCHERS, default=list(SEARCHERS))
    parser.add_argument("--targets", nargs="+", type=float, default=list(TARGETS_MS), help="in milliseconds")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--slowest-ms", type=float, default=0.3, help="train nothing slower")
    parser.add_argument("--core", type=int, help="work on this core alone")
    parser.add_argument("--backwards", action="store_true", help="from the last to the first, beside another process")
    options = parser.parse_args()
    if options.what in ("search", "train") and options.data is None:
        parser.error(f"{options.what} needs --data")
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    match options.what:
        case "search":
            some = itertools.product(range(options.seeds), options.searchers, options.targets)
            wanted = [(searcher, target_ms, seed) for seed, searcher, target_ms in some]
            search(options.data, options.runs, wanted[::-1] if options.backwards else wanted)
        case "measure":
            measure()
        case "train":
            train(options.data, options.seeds, options.slowest_ms, options.backwards)
        case "show":
            show()


if __name__ == "__main__":
    main()
