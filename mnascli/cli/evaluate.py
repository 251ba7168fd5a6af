"""`mnas evaluate`: how good a model is on the test part."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mnascli.cli.completion import complete_model
from mnascli.cli.output import RUNS, JsonOption, RunsOption, print_json, print_table
from mnascli.cli.train import DataOption
from mnascli.errors import UsageError

SHOWN = 10  # confusions, and classes where there are many


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", autocompletion=complete_model, help="A checkpoint, RUN, RUN:17 or a .tflite file."
        ),
    ],
    data: DataOption = None,
    against: Annotated[
        str | None, typer.Option("--against", help="Another model: count the images on which their answers differ.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Interpreters of a .tflite at once (default: all cores).")
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option("--mean", metavar="M[,M,M]", help="For a .tflite that does not say it: (pixel / 255 - M) / S."),
    ] = None,
    std: Annotated[str | None, typer.Option("--std", metavar="S[,S,S]", help="See --mean.")] = None,
    size: Annotated[
        int | None,
        typer.Option("--size", min=1, help="For a .tflite that takes any size of picture: height and width in pixels."),
    ] = None,
    background: Annotated[
        bool, typer.Option("--background", help="For a .tflite: its first class is one that the data do not have.")
    ] = False,
    classes: Annotated[bool, typer.Option("--classes", help="Show every class, however many there are.")] = False,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a model or a file on the test part.

    Accuracy with its interval, class by class; calibration; images a second.

    A .tflite runs on this machine, whatever device it is for: an int8 kernel may round differently there.

    Example: mnas evaluate winner.tflite --data ./pictures --against demo
    """
    from mnascli.cli.progress import Working
    from mnascli.engine.models.evaluate import evaluate_model
    from mnascli.engine.models.file_data import FileReading

    if (mean is None) != (std is None):
        raise UsageError("--mean and --std go together: (pixel / 255 - mean) / std")
    normalisation = (_numbers("--mean", mean), _numbers("--std", std)) if mean and std else None
    with Working(f"evaluating {model}") as working:
        reading = FileReading(size, normalisation=normalisation, background=background)
        result = evaluate_model(model, runs, data, against=against, workers=workers, reading=reading, say=working.say)
    if as_json:
        print_json(result)
    else:
        _print(result, every=classes)


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} {text}: numbers separated by commas were expected") from None


def _print(result: dict[str, Any], every: bool) -> None:
    low, high = result["interval"]
    scores = f"top-1 {result['top1']:.4f}, top-5 {result['top5']:.4f}"
    print(f"{scores} on {result['images']} test images of {result['data']}")
    print(f"top-1, 95 % interval: {low:.4f} to {high:.4f}; calibration error {result['calibration_error']:.4f}")
    print(f"{result['images_per_s']:.0f} images a second on this machine")
    if result.get("against"):
        print(f"{result['differing_predictions']} predictions differ from those of {result['against']}")
    rows = [(one["name"], one["images"], one["recall"], one["precision"]) for one in result["classes"]]
    title = "\nclass by class"
    if len(rows) > 2 * SHOWN and not every:
        rows = sorted(rows, key=lambda row: 1.0 if row[2] is None else row[2])[:SHOWN]
        title = f"\nthe {SHOWN} least recognised classes (--classes shows all)"
    print_table(("class", "images", "recall", "precision"), rows, title)
    if result["confusions"]:
        print_table(("true class", "called", "images"), result["confusions"][:SHOWN], "\nmost frequent confusions")
