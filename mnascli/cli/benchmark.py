"""`mnas benchmark`: latency of several models side by side."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from mnascli.cli.completion import complete_device, complete_model
from mnascli.cli.models import ClassesOption, SizeOption, WidthOption
from mnascli.cli.output import RUNS, JsonOption, RunsOption, print_json, print_table
from mnascli.errors import UsageError


class Suite(StrEnum):
    mnasnet_paper = "mnasnet-paper"


def benchmark(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL...", help="Models, as in `mnas models show`, or .tflite files.")
    ] = None,
    suite: Annotated[
        Suite | None, typer.Option("--suite", help="A published table instead of models, beside what was published.")
    ] = None,
    device: Annotated[list[str] | None, typer.Option("--device", help="Device to measure on; may be repeated.")] = None,
    width: WidthOption = None,
    size: SizeOption = None,
    classes: ClassesOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Measure models in one go on a device. Example: mnas benchmark mnasnet-a1 mobilenet-v2 --device host"""
    if bool(models) == bool(suite):
        raise UsageError("say what to measure: some models, or --suite mnasnet-paper")
    columns: tuple[str, ...] = ("model", "device", "median_ms", "p5_ms", "p95_ms", "runs", "verdict")
    if suite:
        from mnascli.engine.suites import run_suite

        if width or size or classes:
            raise UsageError("--suite measures what was published: leave out --width, --size and --classes")
        results = run_suite(suite.value, device or ["host"])
        columns = (*columns, "parameters", "multiply_adds", "ratio_to_a1", "pixel_1_ms", "pixel_1_ratio")
    else:
        from mnascli.engine.benchmarking import benchmark as run_benchmark

        results = run_benchmark(models or [], device or ["host"], runs, width=width, size=size, classes=classes)
    if as_json:
        print_json({"results": results})
        return
    print_table(columns, [[result[column] for column in columns] for result in results])
