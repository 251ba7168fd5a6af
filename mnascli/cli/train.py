"""`mnas train`: train a network for long, resumably."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnascli.cli.models import ModelArgument, SizeOption, WidthOption
from mnascli.cli.output import RUNS, JsonOption, RunsOption, print_json, say

DataOption = Annotated[
    str | None,
    typer.Option(
        "--data", envvar="MNAS_DATA", help="A data set's name or a folder (default: the run's, or the bundled one)."
    ),
]


def train(
    model: ModelArgument,
    data: DataOption = None,
    template: Annotated[
        str,
        typer.Option(
            "--template", "-t", envvar="MNAS_TEMPLATE", help="Its final recipe is used; a run brings its own."
        ),
    ] = "quick",
    width: WidthOption = None,
    size: SizeOption = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Epochs (default: the recipe's).")] = None,
    seed: Annotated[int, typer.Option("--seed", envvar="MNAS_SEED", min=0)] = 0,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Cores to use (default: all).")] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the checkpoint; resumed if it has one.")
    ] = Path("trained"),
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Train a run's winner, one of its trials, a zoo model or an architecture string.

    Example: mnas train demo:17 --epochs 40 --output my-net
    """
    from mnascli.engine.config import final_recipe
    from mnascli.engine.practice import train_model

    result = train_model(
        model,
        runs,
        data=data,
        recipe=final_recipe(model, runs, template, epochs),
        seed=seed,
        threads=threads,
        folder=output,
        say=say,
        width=width,
        size=size,
    )
    if as_json:
        print_json(result)
    else:
        print(f"top-1 {result['top1']:.4f}, top-5 {result['top5']:.4f} on {result['images']} test images")
        print(f"checkpoint: {result['checkpoint']}")
