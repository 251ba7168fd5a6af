"""`mnas benchmark`: latency of several models side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from mnascli.cli.models import ClassesOption, SizeOption, WidthOption
from mnascli.cli.output import RUNS, JsonOption, RunsOption, print_json, print_table, say_news


def benchmark(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Models, as in `mnas models show`, or .tflite files.")
    ],
    device: Annotated[list[str] | None, typer.Option("--device", help="Device to measure on; may be repeated.")] = None,
    width: WidthOption = None,
    size: SizeOption = None,
    classes: ClassesOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Measure models in one go on a device. Example: mnas benchmark mnasnet-a1 mobilenet-v2 --device host"""
    from mnascli.engine.benchmarking import benchmark as run_benchmark

    results = run_benchmark(models, device or ["host"], runs, width=width, size=size, classes=classes, tell=say_news)
    if as_json:
        print_json({"results": results})
        return
    columns = ("model", "device", "median_ms", "p5_ms", "p95_ms", "runs", "verdict")
    print_table(columns, [[result[column] for column in columns] for result in results])
