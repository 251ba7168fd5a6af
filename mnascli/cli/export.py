"""`mnas export`: the file for the device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnascli.cli.completion import complete_model
from mnascli.cli.output import RUNS, JsonOption, RunsOption, print_json
from mnascli.cli.train import DataOption
from mnascli.errors import TargetMissedError, UsageError

TOLERANCE = 0.1  # of the target, as in a search: measurements of one file differ by some percent


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", autocompletion=complete_model, help="A checkpoint, RUN or RUN:17.")
    ],
    tflite: Annotated[bool, typer.Option("--tflite", help="Write a .tflite file.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file (default: model.tflite).")] = None,
    data: DataOption = None,
    device: Annotated[
        list[str] | None,
        typer.Option("--device", envvar="MNAS_DEVICE", help="Device to measure the file on (default: host)."),
    ] = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Convert trained weights, check the file against the network on real images, and measure it.

    A file whose answers differ from the network's is not kept. Exit code 4: it misses the target of its run.

    Example: mnas export demo --tflite --output winner.tflite
    """
    from mnascli.cli.progress import Working
    from mnascli.engine.practice import export_model

    if not tflite:
        raise UsageError("say what to export: --tflite")
    with Working(f"converting {model}, checking the file and measuring it"):
        result = export_model(model, runs, data, output or Path("model.tflite"), device or ["host"])
    if as_json:
        print_json(result)
    else:
        latency = ", ".join(f"{name} {ms:.3f} ms" for name, ms in result["latency_ms"].items())
        print(f"{result['file']}: {result['size_mb']:.2f} MB, {latency}")
        print(
            f"largest difference to the trained network on {result['parity_images']} images: "
            f"{result['max_abs_difference']:.2g}, differing predictions: {result['differing_predictions']}"
        )
    for name, target_ms in result["target_ms"].items():
        measured = result["latency_ms"].get(name)
        if measured is not None and measured > target_ms * (1 + TOLERANCE):
            raise TargetMissedError(
                f"{result['file']} takes {measured:.3f} ms on {name}, its target is {target_ms:.3f} ms"
            )
