"""Test and retest: the same architectures measured twice, the discipline's way and the naive way, in one run.

    python benchmarks/devices/retest.py                          30 random architectures of the quick space on the host
    python benchmarks/devices/retest.py --device D --space mnasnet --repeat 3

The passes alternate: disciplined, naive, disciplined, naive. Naive is one session of 10 warm-ups and 50 runs, of which
it takes the mean. `tau` is Kendall's between the two passes, `spread` the relative difference of a candidate's two
times (median and worst), `s a candidate` wall time. What else runs on the machine is not this script's: `load` is the
kernel's, of one minute, at the beginning and the end.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mnascli.devices.measuring import Latency
from mnascli.engine.benches.bench import Bench, open_bench
from mnascli.search.ranking import kendall_tau
from mnascli.space import Architecture, load_space

Pass = Callable[[Bench, Sequence[Architecture]], list[float | None]]


def disciplined(bench: Bench, architectures: Sequence[Architecture]) -> list[float | None]:
    """Milliseconds, None where unstable."""
    results = bench.measure(architectures)
    stable = [one for one in results if isinstance(one, Latency) and one.verdict == "stable"]
    return [one.median_ms if isinstance(one, Latency) and one in stable else None for one in results]


def naive(bench: Bench, architectures: Sequence[Architecture]) -> list[float | None]:
    times: list[float | None] = []
    with tempfile.TemporaryDirectory() as folder:
        for index, architecture in enumerate(architectures):
            file = bench.write(architecture, Path(folder) / f"{index}.tflite")
            session = bench.device.run(file, warmups=10, warmup_min_s=0, runs=50, min_s=0, timeout_s=120)
            # A device that gives a summary alone has no mean for us; its median is the kinder number.
            times.append(statistics.mean(session.samples_ms) if session.samples_ms else session.median_ms)
            bench.device.release(file)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="host")
    parser.add_argument("--space", default="quick")
    parser.add_argument("--architectures", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=1, help="pairs of passes to make, one line each")
    arguments = parser.parse_args()
    space, rng = load_space(arguments.space), random.Random(arguments.seed)
    architectures = [space.sample(rng) for _ in range(arguments.architectures)]
    bench = open_bench(arguments.device)
    print(f"{len(architectures)} random architectures of space {arguments.space} on {arguments.device}, measured twice")
    print("| way | tau | spread, median | worst | unstable | s a candidate | ms, fastest to slowest | load |")
    print("|---" * 8 + "|")
    try:
        for _ in range(arguments.repeat):
            compare(bench, architectures)
    finally:
        bench.close()


def compare(bench: Bench, architectures: Sequence[Architecture]) -> None:
    ways: dict[str, Pass] = {"disciplined": disciplined, "naive": naive}
    passes: dict[str, list[list[float | None]]] = {name: [] for name in ways}
    seconds = dict.fromkeys(ways, 0.0)
    load = [os.getloadavg()[0]]
    for name, way in [*ways.items(), *ways.items()]:
        began = time.monotonic()
        passes[name].append(way(bench, architectures))
        seconds[name] += time.monotonic() - began
    load.append(os.getloadavg()[0])
    for name, (first, second) in passes.items():
        pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
        spreads = [abs(a - b) / ((a + b) / 2) for a, b in pairs]
        times = [(a + b) / 2 for a, b in pairs]
        cells = [
            name,
            f"{kendall_tau(*zip(*pairs, strict=True)).tau:.3f}",
            f"{statistics.median(spreads):.1%}",
            f"{max(spreads):.1%}",
            f"{sum(one is None for one in first + second)} of {len(first + second)}",
            f"{seconds[name] / len(first + second):.2f}",
            f"{min(times):.3f} to {max(times):.3f}",
            f"{load[0]:.1f} to {load[1]:.1f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
