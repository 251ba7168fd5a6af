"""`mnas benchmark`: latency of several models side by side."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from mnascli.cli.completion import complete_device, complete_model
from mnascli.cli.models import ClassesOption, SizeOption, WidthOption
from mnascli.cli.output import RUNS, JsonOption, RunsOption, print_json, print_table, say, say_news
from mnascli.errors import UsageError


class Suite(StrEnum):
    mnasnet_paper = "mnasnet-paper"


def benchmark(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL...",
            autocompletion=complete_model,
            help="Models, as in `mnas models show`, or .tflite files.",
        ),
    ] = None,
    suite: Annotated[
        Suite | None, typer.Option("--suite", help="A published table instead of models, beside the published values.")
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option("--device", autocompletion=complete_device, help="Device to measure on; may be repeated."),
    ] = None,
    width: WidthOption = None,
    size: SizeOption = None,
    classes: ClassesOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Measure the latency of models side by side on a device.

    They take turns, so that a slow minute falls on all of them.

    A verdict of 'unstable' means that the sessions of a model did not agree: keep other work off the device.

    Example: mnas benchmark mnasnet-a1 mobilenet-v2 --device host
    """
    from mnascli.cli.progress import Working
    from mnascli.engine.benches.side_by_side import benchmark as run_benchmark

    if bool(models) == bool(suite):
        raise UsageError("say what to measure: some models, or --suite mnasnet-paper")
    devices = device or ["host"]
    if suite:
        _suite(suite, devices, as_json)
        return
    models = models or []
    with Working(f"measuring {len(models)} model(s) on {', '.join(devices)}") as working:
        results = run_benchmark(
            models,
            devices,
            runs,
            width=width,
            size=size,
            classes=classes,
            on_news=say_news,
            doing=working.note,
            say=working.say,
        )
    for device_name, note in dict.fromkeys((result["device"], result["note"]) for result in results if result["note"]):
        say(f"{device_name}: {note}")
    if as_json:
        print_json({"results": results})
        return
    columns = ("model", "device", "median_ms", "p5_ms", "p95_ms", "runs", "verdict")
    print_table(columns, [[result[column] for column in columns] for result in results])


def _suite(suite: Suite, devices: list[str], as_json: bool) -> None:
    from mnascli.cli.progress import Working
    from mnascli.engine.benches.suites import run_suite

    with Working(f"converting NASNet-A and measuring {suite.value} on {', '.join(devices)}"):
        results = run_suite(suite.value, devices)
    if as_json:
        print_json({"results": results})
        return
    columns = ("model", "device", "median_ms", "verdict", "ratio_to_a1", "pixel_1_ms", "pixel_1_ratio", "parameters")
    print_table(columns, [[result[column] for column in columns] for result in results])
