"""The .tflite writer against litert-torch's conversion of the same network: time, operators, outputs, latency.

    python benchmarks/files/tflite_writer.py [MODEL ...]

Both make a float file of the same weights. The import of litert-torch is timed apart; of the conversions the fastest
counts, of the writer's runs the median. Latencies are medians of single runs that take turns, one thread.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from rich.console import Console
from rich.table import Table

from mnascli.nets import build
from mnascli.space import zoo
from mnascli.tflite import write
from mnascli.tflite.convert import convert, import_converter
from mnascli.tflite.interpreter import predict
from mnascli.tflite.reading import operators


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def latencies_ms(paths: list[Path], runs: int) -> list[float]:
    """The median latency of each file; they take turns, so that whatever slows the machine slows them alike."""
    interpreters = [Interpreter(model_path=str(path), num_threads=1) for path in paths]
    for interpreter in interpreters:
        interpreter.allocate_tensors()
        for _ in range(10):
            interpreter.invoke()
    samples = [[1e3 * seconds(interpreter.invoke) for interpreter in interpreters] for _ in range(runs)]
    return [statistics.median(column) for column in zip(*samples, strict=True)]


def compare(name: str, folder: Path, conversions: int, writes: int, runs: int) -> list[tuple[str, str]]:
    """The rows of the table for one model of the zoo."""
    architecture = zoo.load(name)
    network = build(architecture, seed=0).eval()
    weights = network.state_dict()
    converted, written = folder / "converted.tflite", folder / "written.tflite"
    convert_s = min(seconds(lambda: convert(network, architecture, converted)) for _ in range(conversions))
    write_s = statistics.median(seconds(lambda: write(architecture, written, weights)) for _ in range(writes))
    random_s = statistics.median(seconds(lambda: write(architecture, folder / "random.tflite")) for _ in range(writes))

    shape = (4, architecture.size, architecture.size, architecture.channels)
    images = np.random.default_rng(0).standard_normal(shape, np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    from_torch, from_converter = (
        np.abs(predict(written, images) - other).max() for other in (expected, predict(converted, images))
    )

    same = "the same" if operators(written) == operators(converted) else "NOT the same"
    converted_ms, written_ms, random_ms = latencies_ms([converted, written, folder / "random.tflite"], runs)
    return [
        ("litert-torch, conversion and export", f"{convert_s:.2f} s"),
        ("writer, these weights", f"{write_s:.3f} s"),
        ("writer, random weights", f"{random_s:.3f} s"),
        ("conversion / writer, these weights", f"{convert_s / write_s:.0f}"),
        ("conversion / writer, random weights", f"{convert_s / random_s:.0f}"),
        ("operators, converted and written", f"{len(operators(converted))} and {len(operators(written))}, {same}"),
        ("largest output difference from torch", f"{from_torch:.1e} (logits up to {np.abs(expected).max():.1f})"),
        ("largest output difference from converted", f"{from_converter:.1e}"),
        ("latency, converted", f"{converted_ms:.2f} ms"),
        ("latency, written / converted", f"{written_ms / converted_ms:.3f}"),
        ("latency, random weights / converted", f"{random_ms / converted_ms:.3f}"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["mnasnet-a1"], help="models of the zoo")
    parser.add_argument("--conversions", type=int, default=2)
    parser.add_argument("--writes", type=int, default=15)
    parser.add_argument("--runs", type=int, default=200, help="latency samples of each file")
    arguments = parser.parse_args()
    import_s = seconds(import_converter)
    for name in arguments.models:
        table = Table(title=f"{name}: written and converted (import of litert-torch apart: {import_s:.1f} s)")
        table.add_column("")
        table.add_column("", justify="right")
        with tempfile.TemporaryDirectory() as folder:
            for row in compare(name, Path(folder), arguments.conversions, arguments.writes, arguments.runs):
                table.add_row(*row)
        Console(width=120).print(table)


if __name__ == "__main__":
    main()
