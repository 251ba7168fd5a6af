"""`mnas report`: the results of a run, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mnascli.cli.completion import complete_run
from mnascli.cli.output import RUNS, JsonOption, RunsOption, print_json


def report(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", autocompletion=complete_run, help="A run's name or folder; it need not be finished."
        ),
    ],
    format: Annotated[Literal["html", "md"], typer.Option("--format", help="One HTML file, or Markdown.")] = "html",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file (default: RUN/report/report.html or .md).")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", metavar="DIR", help="Write the figures there too, as PNG and SVG.")
    ] = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Write the results of a run to one file that opens offline.

    What was found and how it compares, an interactive accuracy-latency plane, rewards, latencies with their
    distributions and drift, whether the short training ranks well, failures, and how to reproduce the run.

    Example: mnas report demo

    Example: mnas report demo --format md --output demo.md --figures figures
    """
    from mnascli.report.content import gather
    from mnascli.report.page import page, text
    from mnascli.runs import find_run, write_atomically

    path = find_run(run, runs)
    content = gather(path)
    file = output or path / "report" / f"report.{format}"
    written = (page if format == "html" else text)(content)
    write_atomically(file, written.encode())
    drawn = []
    if figures is not None:
        from mnascli.report.paper import write_figures

        drawn = [str(one) for one in write_figures(content, figures)]
    if as_json:
        print_json({"run": str(path), "file": str(file), "size_mb": len(written.encode()) / 1e6, "figures": drawn})
    else:
        print("\n".join([str(file), *drawn]))
