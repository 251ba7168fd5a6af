"""`mnas devices`: the devices to measure on, their setup, and measuring one model on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnascli.cli.models import ClassesOption, SizeOption, WidthOption
from mnascli.cli.output import RUNS, JsonOption, RunsOption, print_json, print_table, say, say_news
from mnascli.errors import MnasError

app = typer.Typer(
    no_args_is_help=True,
    help="Devices to measure on: this machine, phones, boards.\n\nExample: mnas devices list",
)

DeviceArgument = Annotated[
    str, typer.Argument(metavar="DEVICE", help="Name or serial, as in `mnas devices list`, or a unique prefix.")
]


@app.command("list")
def list_devices(as_json: JsonOption = False) -> None:
    """List the devices that can be seen, and why some cannot be used.

    Example: mnas devices list
    """
    from mnascli.devices.finding import list_devices as find

    devices = find()
    if as_json:
        print_json({"devices": [device.to_json() for device in devices]})
        return
    columns = {
        "name": "name",
        "kind": "kind",
        "serial": "serial",
        "model": "model",
        "soc": "soc",
        "abi": "abi",
        "os": "os",
        "state": "state",
        "temperature_c": "°C",
        "battery_percent": "battery %",
        "profile": "profile",
        "problem": "what to do",
    }
    print_table(list(columns.values()), [[_short(getattr(device, key)) for key in columns] for device in devices])


@app.command("probe")
def probe(device: DeviceArgument, as_json: JsonOption = False) -> None:
    """Look closely at a device: cores, clocks, temperature, room.

    Example: mnas devices probe pixel-6
    """
    from mnascli.devices.finding import open_device

    opened = open_device(device)
    try:
        found = opened.probe()
    finally:
        opened.close()
    if as_json:
        print_json(found.to_json())
        return
    now = found.conditions
    rows: list[tuple[str, object]] = [
        ("name", found.info.name),
        ("serial", found.info.serial),
        ("model", found.info.model),
        ("soc", found.info.soc),
        ("os", found.info.os),
        ("cores", "; ".join(found.notes)),
        ("online", ", ".join(str(core.index) for core in found.cores if core.online)),
        ("governor", found.governor or "-"),
        ("clock now, MHz", _short(now.frequency_mhz)),
        ("temperature, °C", _short(now.temperature_c)),
        ("thermal status", _short(now.thermal_status)),
        ("free, MB", _short(found.free_mb)),
        ("runtime", now.runtime),
        ("measures on core", ", ".join(str(core) for core in opened.setup.cores)),
        ("suggested core", ", ".join(str(core) for core in found.suggested.cores)),
        ("profile", found.info.profile or "-"),
    ]
    print_table(("", ""), rows)


@app.command("setup")
def setup(
    device: DeviceArgument,
    binary: Annotated[
        Path | None,
        typer.Option("--binary", help="A benchmark_model of your own instead of the official one (phones)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a phone or board ready: install what runs models there.

    Example: mnas devices setup pixel-6
    """
    import tempfile

    from mnascli.devices.finding import set_up_device
    from mnascli.engine.benches.bench import write_reference

    with tempfile.TemporaryDirectory(prefix="mnas") as folder:
        done = set_up_device(device, binary, write_reference(Path(folder) / "reference.tflite"))
    if as_json:
        print_json(done)
        return
    if done.get("before_sha256") not in (None, done.get("sha256")):
        say(f"not the same program as before ({done['before_sha256']}): earlier and new latencies are not comparable")
    print_table(("", ""), list(done.items()))


@app.command("measure")
def measure(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model, as in `mnas models show`, or a .tflite file.")
    ],
    device: Annotated[str, typer.Option("--device", help="Device to measure on.")] = "host",
    width: WidthOption = None,
    size: SizeOption = None,
    classes: ClassesOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Measure one model, with all that is known about how.

    Example: mnas devices measure mnasnet-a1 --device pixel-6
    """
    from mnascli.cli.progress import Working
    from mnascli.devices.finding import find_device
    from mnascli.engine.benches.side_by_side import benchmark

    name = find_device(device).name  # one device; a search would take all of that profile
    with Working(f"measuring {model} on {name}") as working:
        (result,) = benchmark(
            [model],
            [name],
            runs,
            width=width,
            size=size,
            classes=classes,
            on_news=say_news,
            doing=working.note,
            say=working.say,
        )
    if result["note"]:
        say(f"{result['device']}: {result['note']}")
    if as_json:
        print_json(result)
        return
    before, after = result["before"], result["after"]
    rows: list[tuple[str, object]] = [
        ("device", result["device"]),
        ("median, ms", result["median_ms"]),
        ("p5, ms", result["p5_ms"]),
        ("p95, ms", result["p95_ms"]),
        ("runs", f"{result['runs']} in {result['sessions']} sessions"),
        ("core", ", ".join(str(core) for core in after["cores"]) or "not pinned"),
        ("threads", result["setup"]["threads"]),
        ("clock before, after, MHz", f"{_short(before['frequency_mhz'])}, {_short(after['frequency_mhz'])}"),
        ("temperature before, after, °C", f"{_short(before['temperature_c'])}, {_short(after['temperature_c'])}"),
        ("runtime", before["runtime"]),
        ("verdict", result["verdict"] + (f": {result['problem']}" if result["problem"] else "")),
    ]
    print_table(("", ""), rows)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name of the profile; for a board also the device's name.")],
    address: Annotated[str, typer.Option("--address", help="A board: user@host, or ssh://user@host:port.")] = "",
    device: Annotated[str, typer.Option("--device", help="A device from the list: the profile is for it alone.")] = "",
    like: Annotated[str, typer.Option("--like", help="Profile to start from; default: the one that matches.")] = "",
    cores: Annotated[str, typer.Option("--cores", help="Cores to run on, as in 6,7; default: the fastest.")] = "",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads to run with.")] = None,
    accelerator: Annotated[str | None, typer.Option("--accelerator", help="cpu, gpu or npu.")] = None,
    precision: Annotated[str | None, typer.Option("--precision", help="float32 or int8.")] = None,
    python: Annotated[str, typer.Option("--python", help="A board's Python that has ai-edge-litert.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Replace a profile of this name.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a profile of your own, which is how you add a board.

    Example: mnas devices add pi --address pi@pi4
    """
    from mnascli.devices.adding import add_profile, parse_cores

    path, profile, info = add_profile(
        name,
        address=address,
        device=device,
        base=like,
        cores=parse_cores(cores),
        threads=threads,
        accelerator=accelerator,  # type: ignore[arg-type]  # checked with the rest of the profile
        precision=precision,  # type: ignore[arg-type]
        python=python,
        replace=replace,
    )
    if as_json:
        print_json({"profile": name, "file": str(path), "device": info.to_json(), "values": profile.model_dump()})
        return
    print(path)
    if info.state != "ready":
        say(f"{info.name}: {info.problem}")


@app.command("fit")
def fit(
    device: DeviceArgument,
    space: Annotated[str, typer.Option("--space", "-s", help="A template's name, or a .yaml file with a space.")],
    candidates: Annotated[int, typer.Option("--candidates", min=20, help="Candidates to measure.")] = 60,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write (default: DEVICE-SPACE.latency.json).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fit a latency model: measure candidates of a space on a device.

    Example: mnas devices fit host --space quick
    """
    from mnascli.cli.progress import Working
    from mnascli.engine.benches.fitting import fit_to_file
    from mnascli.space import load_space

    path = output or Path(f"{device}-{Path(space).stem}.latency.json")
    candidates_of = load_space(space)
    for note in candidates_of.notes:
        say(f"warning: {note}")
    with Working(f"measuring candidates on {device}") as working:
        model = fit_to_file(device, candidates_of, path, candidates, working.step)
    if as_json:
        print_json({"file": str(path), "errors": model.errors.model_dump(), "usable": model.errors.are_small})
    else:
        print(f"{path}: {model.errors}")
    if not model.errors.are_small:
        raise MnasError(f"{path}: errors too large to search with: keep other work off {device} and fit it again")


def _short(value: object) -> object:
    """Temperatures and clocks rounded for reading; other values as they are."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else ("-" if value is None else value)
