"""Evaluating a .tflite over a whole set: several interpreters in threads against one, in one run.

    python benchmarks/evaluate_tflite.py [--images 10000] [--model mnasnet-small] [--size 64]

The aim is 90 % of cores times the speed of one thread. One and many take turns, and of each the fastest round counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from mnascli import tflite
from mnascli.engine.executors import usable_cores
from mnascli.space import load
from mnascli.tflite.interpreter import predict_all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--model", default="mnasnet-small")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cores = len(usable_cores())
    images = np.random.default_rng(0).integers(0, 256, (options.images, options.size, options.size, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        file = tflite.write(load(options.model, size=options.size, classes=10), Path(folder) / "model.tflite")
        fastest_s: dict[int, float] = {}
        for _ in range(options.rounds):
            for workers in (1, cores):
                began = time.perf_counter()
                predict_all(file, images, lambda pixels: pixels.astype(np.float32) / 255, workers)
                seconds = time.perf_counter() - began
                fastest_s[workers] = min(seconds, fastest_s.get(workers, seconds))
    table = Table("interpreters", "images a second", "of cores x one")
    for workers, seconds in fastest_s.items():
        share = fastest_s[1] / seconds / workers
        table.add_row(str(workers), f"{options.images / seconds:,.0f}", f"{share:.0%}")
    Console().print(table)


if __name__ == "__main__":
    main()
