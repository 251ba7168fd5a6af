"""Evaluating a .tflite over a whole set: several interpreters in threads against one, in one run.

    python benchmarks/files/evaluate_tflite.py [--images 10000] [--model mnasnet-small] [--size 64] [--rounds 3]

The aim is 90 % of cores times the speed of one thread. One and many take turns, and of each the fastest round counts.
Processes that share nothing, each with one interpreter and its part of the images, show what the machine can do at all.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from mnascli import tflite
from mnascli.cores import usable_cores
from mnascli.space import load
from mnascli.tflite.interpreter import predict_all


def normalise(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return pixels.astype(np.float32) / 255


def evaluate(file: Path, size: int, images: int, workers: int, together: Barrier | None = None) -> float:
    """Seconds for so many images; processes wait for each other before they begin."""
    pixels = np.random.default_rng(0).integers(0, 256, (images, size, size, 3), dtype=np.uint8)
    if together is not None:
        predict_all(file, pixels[:64], normalise, workers)
        together.wait()
    began = time.perf_counter()
    predict_all(file, pixels, normalise, workers)
    return time.perf_counter() - began


def in_processes(file: Path, size: int, images: int, processes: int) -> float:
    """Seconds of the slowest of them."""
    with multiprocessing.Manager() as manager:
        together = manager.Barrier(processes)
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
            parts = [pool.submit(evaluate, file, size, images // processes, 1, together) for _ in range(processes)]
            return max(part.result() for part in parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--model", default="mnasnet-small")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cores = len(usable_cores())
    with tempfile.TemporaryDirectory() as folder:
        file = tflite.write(load(options.model, size=options.size, classes=10), Path(folder) / "model.tflite")
        seconds: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            for workers in (1, cores):
                ran = evaluate(file, options.size, options.images, workers)
                seconds.setdefault(f"{workers} in threads", []).append(ran)
            ran = in_processes(file, options.size, options.images, cores)
            seconds.setdefault(f"{cores} in processes", []).append(ran)
    table = Table("interpreters", "images a second", "of cores x one")
    alone_s = min(seconds["1 in threads"])
    for name, rounds in seconds.items():
        share = alone_s / min(rounds) / int(name.split()[0])
        table.add_row(name, f"{options.images / min(rounds):,.0f}", f"{share:.0%}")
    Console().print(table)


if __name__ == "__main__":
    main()
