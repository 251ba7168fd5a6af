"""`mnas monitor`: a run seen live in the terminal, or in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from mnascli.cli.output import RUNS, RunsOption


def monitor(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run's name or folder; none: choose.")] = None,
    runs: RunsOption = RUNS,
) -> None:
    """Watch a search, or look at one that has ended. It reads the run's folder alone: ending it touches no search.

    Example: mnas monitor demo
    """
    from mnascli.runs import find_run
    from mnascli.tui.app import MonitorApp

    MonitorApp(find_run(run, runs) if run else None, runs).run()
