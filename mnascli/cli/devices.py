"""`mnas devices`: what there is to measure on."""

from __future__ import annotations

import typer

from mnascli.cli.output import JsonOption, print_json, print_table

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
