"""`mnas devices`: what there is to measure on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnascli.cli.output import JsonOption, print_json, print_table, say
from mnascli.errors import MnasError

app = typer.Typer(no_args_is_help=True, help="Devices to measure on.")


@app.command("list")
def list_devices(as_json: JsonOption = False) -> None:
    """List the devices that can be seen. Example: mnas devices list"""
    from mnascli.devices import list_devices as find

    devices = find()
    if as_json:
        print_json({"devices": [device.to_json() for device in devices]})
        return
    columns = ("name", "kind", "serial", "state", "soc", "abi", "os", "profile", "problem")
    print_table(columns, [[getattr(device, column) for column in columns] for device in devices])


@app.command("fit")
def fit(
    device: Annotated[str, typer.Argument(help="The device, as `mnas devices list` shows it.")],
    space: Annotated[str, typer.Option("--space", "-s", help="A template's name, or a .yaml file with a space.")],
    candidates: Annotated[int, typer.Option(min=20, help="Candidates to measure.")] = 60,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write (default: DEVICE-SPACE.latency.json).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fit a latency model: measure candidates of a space on a device. Example: mnas devices fit host --space quick"""
    from mnascli.engine.latency import fit_to_file
    from mnascli.space import load_space

    path = output or Path(f"{device}-{Path(space).stem}.latency.json")
    model = fit_to_file(
        device, load_space(space), path, candidates, lambda done, wanted: say(f"measured {done} of {wanted}")
    )
    if as_json:
        print_json({"file": str(path), "errors": model.errors.model_dump(), "usable": model.errors.are_small})
    else:
        print(f"{path}: {model.errors}")
    if not model.errors.are_small:
        raise MnasError(f"{path}: errors too large to search with: keep other work off {device} and fit it anew")
