"""`mnas export`: the file for the device."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from mnascli.cli.completion import complete_model
from mnascli.cli.output import RUNS, JsonOption, RunsOption, in_words, print_json, print_table, say
from mnascli.cli.train import DataOption
from mnascli.errors import TargetMissedError, UsageError
from mnascli.runs import UNSURE_MEANS, any_unsure

TOLERANCE = 0.1  # of the target, as in a search: measurements of one file differ by a few percent


class Quantize(StrEnum):
    none = "none"
    int8 = "int8"
    dynamic = "dynamic"
    fp16 = "fp16"


class WriterChoice(StrEnum):
    litert_torch = "litert-torch"
    own = "own"


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", autocompletion=complete_model, help="A checkpoint, RUN or RUN:17.")
    ],
    tflite: Annotated[bool, typer.Option("--tflite", help="Write a .tflite file.")] = False,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write an .onnx file instead (extra 'onnx').")] = False,
    pte: Annotated[
        bool, typer.Option("--pte", help="Write a .pte file for ExecuTorch instead (extra 'executorch').")
    ] = False,
    quantize: Annotated[
        Quantize | None, typer.Option("--quantize", "-q", help="Smaller numbers (default: as in the device's profile).")
    ] = None,
    writer: Annotated[
        WriterChoice, typer.Option("--writer", help="What makes the file: Google's converter or mnas itself.")
    ] = WriterChoice.litert_torch,
    max_loss: Annotated[
        float, typer.Option("--max-loss", min=0, max=1, help="Top-1 that quantizing may cost; more fails the export.")
    ] = 0.02,
    calibration_images: Annotated[
        int, typer.Option("--calibration-images", min=1, help="Training images that int8 takes its ranges from.")
    ] = 200,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file (default: model.tflite).")] = None,
    data: DataOption = None,
    device: Annotated[
        list[str] | None,
        typer.Option("--device", envvar="MNAS_DEVICE", help="Device to measure the file on (default: host)."),
    ] = None,
    target_ms: Annotated[
        float | None, typer.Option("--target-ms", help="Exit with 4 if the file takes longer (default: the run's).")
    ] = None,
    licence: Annotated[str, typer.Option("--licence", help="Licence of the weights, for file and card.")] = "",
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Convert trained weights to a file for the device, and check it.

    It is compared with the network on real images, and measured.

    A model card is written beside the file.

    Example: mnas export demo --tflite --quantize int8 --output winner.tflite
    """
    if tflite + onnx + pte != 1:
        raise UsageError("say what to export: --tflite, --onnx or --pte")
    if onnx:
        from mnascli.engine.export.onnx import export_onnx

        _print_checked(export_onnx(model, runs, data, output or Path("model.onnx")), as_json)
        return
    if pte:
        from mnascli.engine.export.pte import export_pte

        _print_checked(export_pte(model, runs, data, output or Path("model.pte")), as_json)
        return
    from mnascli.cli.progress import Working
    from mnascli.engine.export.tflite import Options, export_model

    options = Options(
        writer=writer.value,
        quantize=quantize.value if quantize else None,
        max_loss=max_loss,
        calibration_images=calibration_images,
        licence=licence,
    )
    with Working(f"converting {model}, checking the file and measuring it"):
        result = export_model(model, runs, data, output or Path("model.tflite"), device or ["host"], options)
    if target_ms is not None:
        result["target_ms"] = dict.fromkeys(result["latency_ms"], target_ms)
    if as_json:
        print_json(result)
    else:
        _print(result)
    for name, target in result["target_ms"].items():
        measured = result["latency_ms"].get(name)
        if measured is not None and measured > target * (1 + TOLERANCE):
            raise TargetMissedError(
                f"{result['file']} takes {measured:.3f} ms on {name}, its target is {target:.3f} ms"
            )


def _print(result: dict[str, Any]) -> None:
    latency = in_words(result["latency_ms"], result["verdict"])
    if any_unsure([result["verdict"]]):
        say(UNSURE_MEANS)
    low, high = result["test_top1_interval"]
    print(f"{result['file']}: {result['size_mb']:.2f} MB, {latency}; beside it {' and '.join(result['model_card'])}")
    print(
        f"on {result['parity_images']} validation images of {result['data']}: top-1 {result['parity_top1']:.4f}, "
        f"the trained network {result['network_top1']:.4f}; differing predictions: {result['differing_predictions']}, "
        f"largest difference of a logit {result['max_abs_difference']:.2g}"
    )
    print(
        f"on {result['test_images']} test images of it: top-1 {result['test_top1']:.4f} "
        f"({low:.4f} to {high:.4f} with 95 %)"
    )
    columns = ("name", "activations", "weights", "output", "count")
    title = f"\n{result['float_operators']} of {result['operator_count']} operators run in float"
    print_table(columns, [[row[column] for column in columns] for row in result["operators"]], title)


def _print_checked(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    from mnascli.engine.export.model_card import STEPS

    print(f"{result['file']}: {result['size_mb']:.2f} MB")
    print(
        f"{result['runtime']} on {result['parity_images']} validation images of {result['data']}: "
        f"largest difference to the trained network {result['max_abs_difference']:.2g}, "
        f"differing predictions: {result['differing_predictions']}"
    )
    for step in STEPS:
        print(f"{step}: {result['input'][step]}")
