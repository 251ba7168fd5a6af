"""`mnas train`: train a network in full, resumably."""

from __future__ import annotations

import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mnascli.cli.models import ModelArgument, SizeOption, WidthOption
from mnascli.cli.output import RUNS, JsonOption, RunsOption, print_json
from mnascli.errors import StoppedByUserError
from mnascli.interrupts import AGAIN, saying

DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        envvar="MNAS_DATA",
        help="A data set, a folder, wds:PATTERN or hf:NAME (default: what the model was trained on).",
    ),
]


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


def train(
    model: ModelArgument,
    data: DataOption = None,
    template: Annotated[
        str | None,
        typer.Option(
            "--template",
            "-t",
            envvar="MNAS_TEMPLATE",
            help="Its final recipe is used (default: the run's, or quick). For ImageNet: imagenet.",
        ),
    ] = None,
    width: WidthOption = None,
    size: SizeOption = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Epochs (default: the recipe's).")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=2, help="Images a step.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", "--lr", help="Learning rate for 256 images a step.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any key of the recipe, e.g. mixup=0.2; may be repeated."),
    ] = None,
    pretrained: Annotated[
        Path | None,
        typer.Option(
            "--pretrained",
            help="Weights to start from: a checkpoint, a file of huggingface.co/timm or download.pytorch.org/models.",
        ),
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option("--freeze", help="Part that stays unchanged: stem, blocks.0, ..., features; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", envvar="MNAS_SEED", min=0, help="Seed of the training.")] = 0,
    device: Annotated[Device, typer.Option("--device", help="What to train on.")] = Device.auto,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Cores to use (default: all).")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that decode pictures (default: automatic).")
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Train through torch.compile.")] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write events to OUTPUT/tb.")] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the checkpoint; resumed if it has one.")
    ] = Path("trained"),
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Train a winner, a trial, a zoo model or an architecture string.

    Example: mnas train demo:17 --epochs 40 --output my-net

    Several GPUs: torchrun --nproc-per-node 8 -m mnascli train ...
    """
    from mnascli.cli.progress import Working
    from mnascli.engine.models.recipe import final_recipe
    from mnascli.engine.models.train import Options, is_begun, train_model

    flags = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "freeze": freeze or None}
    recipe = final_recipe(model, runs, template, settings or [], flags)
    try:
        with (
            saying(f"stopping: saving the training so far; {AGAIN}"),
            Working(f"training {model}", quiet=os.environ.get("RANK", "0") != "0") as working,
        ):
            result = train_model(
                model,
                runs,
                data=data,
                template=template,
                recipe=recipe,
                options=Options(seed, threads, device.value, workers, compiled, pretrained, tensorboard),
                folder=output,
                say=working.say,
                step=working.step,
                width=width,
                size=size,
            )
    except KeyboardInterrupt:
        if not is_begun(output):
            raise StoppedByUserError("interrupted before the first step: nothing was trained yet") from None
        again = shlex.join(["mnas", *sys.argv[1:]])
        raise StoppedByUserError(
            f"interrupted; the training so far is kept in {output}: the same command resumes it: {again}"
        ) from None
    if result is None:
        return
    if as_json:
        print_json(result)
    else:
        print(f"top-1 {result['top1']:.4f}, top-5 {result['top5']:.4f} on {result['images']} test images")
        print(f"checkpoint: {result['checkpoint']}")
