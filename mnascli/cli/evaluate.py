"""`mnas evaluate`: accuracy on the test part."""

from __future__ import annotations

from typing import Annotated

import typer

from mnascli.cli.completion import complete_model
from mnascli.cli.output import RUNS, JsonOption, RunsOption, print_json
from mnascli.cli.train import DataOption


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", autocompletion=complete_model, help="A checkpoint, RUN, RUN:17 or a .tflite file."
        ),
    ],
    data: DataOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Top-1 and top-5 accuracy on the test part, which no training and no choice has seen.

    Example: mnas evaluate demo --data fashion-mnist-10k
    """
    from mnascli.cli.progress import Working
    from mnascli.engine.practice import evaluate_model

    with Working(f"evaluating {model}"):
        result = evaluate_model(model, runs, data)
    if as_json:
        print_json(result)
    else:
        print(f"top-1 {result['top1']:.4f}, top-5 {result['top5']:.4f} on {result['images']} test images")
