"""One network as float, fp16, dynamic and int8 files: size, latency, accuracy, predictions that differ.

A small network is trained on the bundled pictures and exported as `mnas export` does it, judged on pictures that it was
not trained on. Of a network of the paper's size, with random weights, size and latency alone. Latencies by the
measuring discipline, all files of a table in one go.

    python benchmarks/files/export_formats.py [--folder FOLDER] [--epochs 5]     # trains, exports, measures
    python benchmarks/files/export_formats.py --folder FOLDER                    # again: the trained network is taken
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mnascli import nets, tflite
from mnascli.data import load
from mnascli.devices.measuring import Latency
from mnascli.engine.benches.bench import Bench, open_bench
from mnascli.engine.config import resolve
from mnascli.engine.export.tflite import Options, Quantization, export
from mnascli.space import Architecture
from mnascli.space import load as load_model
from mnascli.tflite.quantize import quantize
from mnascli.tflite.reading import typed_operators
from mnascli.training import save_checkpoint, train

KINDS: tuple[Quantization, ...] = ("none", "fp16", "dynamic", "int8")
SMALL = Architecture.parse(
    "stem_s2_c8,ds_r1_k3_s2_c8,ir_r2_k3_s1_e3_c16_se0.25,ir_r2_k5_s2_e3_c32_se0.25,head_c128,net_i28_ch1_o10"
)
RECIPE = resolve("quick", None, {}).final.recipe


def trained(folder: Path, epochs: int) -> Path:
    """The checkpoint of the small network, trained if it is not there."""
    checkpoint = folder / "model.safetensors"
    if not checkpoint.exists():
        dataset = load("fashion-mnist-10k", size=SMALL.size, channels=SMALL.channels)
        recipe = RECIPE.model_copy(update={"epochs": epochs})
        network = nets.build(SMALL, seed=0)
        accuracy = train(network, dataset, recipe, threads=1, folder=folder).accuracy
        save_checkpoint(checkpoint, network, dataset, recipe, accuracy=accuracy)
    return checkpoint


def exports(checkpoint: Path, folder: Path) -> list[dict[str, Any]]:
    """What `mnas export` says of each kind of file; none is refused for its loss."""
    dataset = load("fashion-mnist-10k", size=SMALL.size, channels=SMALL.channels)
    files = [folder / f"small-{kind}.tflite" for kind in KINDS]
    return [
        export(checkpoint, file, dataset, [], Options(writer="own", quantize=kind, max_loss=1))
        for kind, file in zip(KINDS, files, strict=True)
    ]


def without_accuracy(name: str, folder: Path) -> list[dict[str, Any]]:
    """Files of a zoo network with random weights."""
    described = []
    written = tflite.write(load_model(name), folder / f"{name}-none.tflite")
    for kind in KINDS:
        file = written if kind == "none" else quantize(written, folder / f"{name}-{kind}.tflite", kind=kind)
        described.append({"file": str(file), "size_mb": file.stat().st_size / 1e6})
    return described


def show(title: str, described: list[dict[str, Any]], bench: Bench) -> None:
    measured = bench.measure_files([Path(one["file"]) for one in described])
    table = Table(title=title)
    for column in ("file", "MB", "ms", "float = 1", "verdict", "in float", "validation", "differ", "test"):
        table.add_column(column, justify="left" if column in ("file", "verdict") else "right")
    base_ms = None
    for kind, one, latency in zip(KINDS, described, measured, strict=True):
        assert isinstance(latency, Latency), latency
        base_ms = base_ms or latency.median_ms
        operators = typed_operators(one["file"])
        in_float = sum("FLOAT32" in (operator.activations, operator.output) for operator in operators)
        accuracy = (
            (f"{one['parity_top1']:.4f}", str(one["differing_predictions"]), f"{one['test_top1']:.4f}")
            if "parity_top1" in one
            else ("", "", "")
        )
        table.add_row(
            "float32" if kind == "none" else kind,
            f"{one['size_mb']:.3f}",
            f"{latency.median_ms:.3f}",
            f"{latency.median_ms / base_ms:.2f}",
            latency.verdict,
            f"{in_float} of {len(operators)}",
            *accuracy,
        )
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="keeps network and files (default: temporary)")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--model", default="mnasnet-a1", help="the network of the paper's size")
    parser.add_argument("--train-only", action="store_true", help="measure another time, when the machine is quiet")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        checkpoint = trained(folder, arguments.epochs)
        if arguments.train_only:
            return
        bench = open_bench("host")
        small = exports(checkpoint, folder)
        images = f"{small[0]['parity_images']} validation and {small[0]['test_images']} test pictures"
        title = f"trained for {arguments.epochs} epochs; {images}; the trained network {small[0]['network_top1']:.4f}"
        show(title, small, bench)
        show(f"{arguments.model} at 224 pixels, random weights", without_accuracy(arguments.model, folder), bench)
        bench.close()


if __name__ == "__main__":
    main()
