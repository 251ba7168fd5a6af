"""`mnas`: the subcommands put together, and the one place where errors become exit codes.

0 ok, 1 error, 2 usage, 3 no device, 4 target missed, 130 interrupted. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from typing import Annotated, Any

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
from mnascli.cli.completion import after_colon
from mnascli.cli.output import fail
from mnascli.cli.streams import guarded
from mnascli.errors import MnasError, StoppedByUserError, reason
from mnascli.interrupts import listening

app = typer.Typer(
    name="mnas",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: drawing boxes takes longer to import than all the rest
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
    """Run the command line; an error that a user can cause ends in one line on stderr and its exit code.

    With --json that line is a JSON object: {"schema": 1, "error": {"message": ..., "exit_code": ...}}.
    """
    as_json = "--json" in sys.argv[1:]
    with guarded(), listening():
        code = _run(as_json)
    if code:
        sys.exit(code)


def _run(as_json: bool) -> int:
    """The exit code."""
    try:
        if trials := after_colon():
            print("\n".join(trials))
            return 0
        code = int(app(prog_name="mnas", standalone_mode=False) or 0)
        sys.stdout.flush()
        if code == StoppedByUserError.exit_code:  # typer's code for KeyboardInterrupt
            raise StoppedByUserError("interrupted")
        return code
    except MnasError as error:
        return fail(str(error), error.exit_code, as_json)
    except (KeyboardInterrupt, typer.Abort):
        return fail("interrupted", StoppedByUserError.exit_code, as_json)
    except OSError as error:
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else ""
        return fail(f"{name}: {reason(error)}" if name else reason(error), MnasError.exit_code, as_json)
    except MemoryError:
        return fail("this machine has too little memory for that", MnasError.exit_code, as_json)
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own class, which it exports only in part
            return _fail_usage(error, as_json)
        if as_json:  # a bug in mnas itself; a script that reads still gets its object
            traceback.print_exc()
            return fail(f"a bug in mnas itself: {type(error).__name__}: {error}", MnasError.exit_code, as_json)
        raise
    finally:
        with suppress(MnasError):  # an error was already reported
            sys.stdout.flush()


def _fail_usage(error: Any, as_json: bool) -> int:
    """An error from typer itself: an unknown option, a missing argument; a bare `mnas` prints the help."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        if not as_json:
            error.show()
            return int(error.exit_code)
        return fail("a command is missing; see `mnas --help`", error.exit_code, as_json)
    command = context.command_path if context is not None else "mnas COMMAND"
    message = error.format_message().rstrip(".").replace("Value error, ", "")
    return fail(f"{message}; see `{command} --help`", error.exit_code, as_json)


if __name__ == "__main__":
    main()
