"""`mnas monitor`: a run seen live in the terminal, or in a browser."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from mnascli.cli.completion import complete_run
from mnascli.cli.output import RUNS, JsonOption, RunsOption, print_json, say
from mnascli.errors import UsageError
from mnascli.interrupts import saying

GRACE_S = 2.0  # for a search that was started at the same time to get going


def monitor(
    run: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", autocompletion=complete_run, help="A run's name or folder; none: choose."),
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Show it in a browser instead of this terminal.")] = False,
    host: Annotated[str, typer.Option("--host", help="Address to serve on (anyone who can reach it can watch).")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to serve on.")] = 8000,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Watch a search, or look at one that has ended. It only reads the run's folder: ending it touches no search.

    Example: mnas monitor demo

    Example: mnas monitor demo --serve --port 8080

    Example: mnas monitor demo --json
    """
    path = _wait_for(run, runs) if run else None
    if as_json:
        from mnascli.tui.source import RunSource

        if path is None or serve:
            raise UsageError("--json prints one run's state: name the run, and omit --serve")
        print_json(RunSource(path).to_json())
        return
    if serve:
        _serve(path, host, port, runs)
        return
    if not sys.stdout.isatty() and "TEXTUAL_DRIVER" not in os.environ:  # which textual-serve sets for its child
        raise UsageError("the monitor needs a terminal; `mnas runs show RUN` prints a run")
    from mnascli.tui.app import show

    with saying(""):  # it would appear in the middle of the screen
        show(path, runs)


def _wait_for(run: str, runs: Path) -> Path:
    """The run; waits for one that a search is about to begin, and `GRACE_S` for any, in case a search is starting.

    Raises RunError if there is none then.
    """
    from mnascli.runs import RunError, find_run
    from mnascli.runs.starting import is_starting

    deadline, is_told = time.monotonic() + GRACE_S, False
    while True:
        is_coming = is_starting(runs / run)
        try:
            return find_run(run, runs)
        except RunError:
            if not is_coming and time.monotonic() >= deadline:
                raise
        if is_coming and not is_told:
            say(f"{run}: the search is starting; it looks at its data and devices first; waiting for it ...")
            is_told = True
        time.sleep(0.1)


def _serve(path: Path | None, host: str, port: int, runs: Path) -> None:
    try:
        from textual_serve.server import Server
    except ImportError:
        raise UsageError("--serve needs textual-serve: pip install 'mnas[browser]'") from None
    shown = [] if path is None else [str(path.absolute())]
    command = [sys.executable, "-m", "mnascli.cli.main", "monitor", *shown, "--runs", str(runs.absolute())]
    Server(shlex.join(command), host=host, port=port, title="mnas monitor").serve()
