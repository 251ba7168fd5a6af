"""`mnas models`: the zoo, and any architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnascli.cli.completion import complete_model
from mnascli.cli.output import RUNS, JsonOption, RunsOption, print_json, print_table

app = typer.Typer(
    no_args_is_help=True,
    help="Published networks and any architecture string.\n\nExample: mnas models show mnasnet-a1",
)

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        autocompletion=complete_model,
        help="A zoo name, an architecture string, a checkpoint, RUN (its winner) or RUN:17 (its trial 17).",
    ),
]
WidthOption = Annotated[float | None, typer.Option("--width", help="Depth multiplier.")]
SizeOption = Annotated[int | None, typer.Option("--size", help="Input height and width in pixels.")]
ClassesOption = Annotated[int | None, typer.Option("--classes", help="Number of classes.")]


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the zoo.

    Example: mnas models list
    """
    from mnascli.space import ZOO, count, load

    entries = []
    for name in ZOO:
        architecture = load(name)
        cost = count(architecture)
        entries.append((name, cost.parameters, cost.multiply_adds, str(architecture)))
    if as_json:
        keys = ("model", "parameters", "multiply_adds", "architecture")
        print_json({"models": [dict(zip(keys, entry, strict=True)) for entry in entries]})
    else:
        rows = [(name, f"{parameters:,}", f"{madds:,}") for name, parameters, madds, _ in entries]
        print_table(("model", "parameters", "multiply-adds at 224"), rows)


@app.command("show")
def show(
    model: ModelArgument,
    width: WidthOption = None,
    size: SizeOption = None,
    classes: ClassesOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Show an architecture with its cost, layer by layer.

    Example: mnas models show mnasnet-a1 --width 0.5
    """
    from mnascli.engine.models.find import find_model
    from mnascli.space import count, lower
    from mnascli.space.cost import op_cost

    architecture = find_model(model, Path(runs)).architecture.on(width=width, size=size, classes=classes)
    cost = count(architecture)
    layers = lower(architecture)
    if as_json:
        values = {"architecture": str(architecture), "parameters": cost.parameters, "multiply_adds": cost.multiply_adds}
        print_json(
            {**values, "blocks": [str(block) for block in architecture.blocks], "details": architecture.to_json()}
        )
        return
    print(architecture)
    pixels = f"{architecture.size}x{architecture.size}"
    print(f"{cost.parameters:,} parameters, {cost.multiply_adds:,} multiply-adds at {pixels}")
    rows = []
    for layer in layers:
        costs = [op_cost(op) for op in layer.ops]
        skip = layer.skip if isinstance(layer.skip, str) else "pool" if layer.skip else ""
        ops = " ".join(op.name.rpartition(".")[2] for op in layer.ops)
        parameters, madds = sum(one.parameters for one in costs), sum(one.multiply_adds for one in costs)
        rows.append((layer.name, ops, skip, f"{parameters:,}", f"{madds:,}"))
    print_table(("layer", "ops", "skip", "parameters", "multiply-adds"), rows)
