"""`mnas`: the subcommands put together, and the one place where errors become exit codes.

0 ok, 1 error, 2 usage, 3 no device, 4 target missed, 130 interrupted. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mnascli import __version__
from mnascli.cli import (
    benchmark,
    devices,
    doctor,
    evaluate,
    export,
    models,
    monitor,
    report,
    runs,
    search,
    templates,
    train,
)
from mnascli.cli.output import say
from mnascli.errors import MnasError

app = typer.Typer(
    name="mnas",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: what draws boxes takes longer to import than all the rest
    help="Find the convolutional network that fits your device and your pictures.\n\n"
    "Example: mnas search --template quick --name demo",
    epilog="Exit codes: 0 ok, 1 error, 2 usage, 3 no device, 4 target missed, 130 interrupted.",
)
app.command("search")(search.search)
app.command("monitor")(monitor.monitor)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("export")(export.export)
app.command("benchmark")(benchmark.benchmark)
app.command("report")(report.report)
app.command("doctor")(doctor.doctor)
app.add_typer(devices.app, name="devices")
app.add_typer(models.app, name="models")
app.add_typer(runs.app, name="runs")
app.add_typer(templates.app, name="templates")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"mnas {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; what a user can cause ends in one line on stderr and its exit code."""
    try:
        app()
    except MnasError as error:
        say(f"mnas: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("mnas: interrupted")
        sys.exit(130)
    except BrokenPipeError:  # `mnas ... | head`
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
