"""Results go to stdout, everything else to stderr; `--json` gives one object with "schema": 1."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnascli.cli.streams import voice

if TYPE_CHECKING:
    from mnascli.devices.pool import News

SCHEMA = 1

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
RunsOption = Annotated[
    Path, typer.Option("--runs", envvar="MNAS_RUNS", help="Folder of the run directories.", show_default=True)
]
RUNS = Path("runs")


def say(message: str) -> None:
    """A line for the user that is no result."""
    print(message, file=voice(), flush=True)


def fail(message: str, exit_code: int, as_json: bool) -> int:
    """Say in one line on stderr what is wrong, with --json as one JSON object; returns the exit code."""
    message = " ".join(message.splitlines())
    error = {"schema": SCHEMA, "error": {"message": message, "exit_code": exit_code}}
    say(json.dumps(error) if as_json else f"mnas: {message}")
    return exit_code


def say_news(news: News) -> None:
    """What became of a device, while a command goes on."""
    say(" ".join(part for part in (news.serial, news.kind.replace("_", " "), news.reason) if part))


def in_words(latency_ms: Mapping[str, float]) -> str:
    """Latencies or targets by device, for a line of text."""
    return ", ".join(f"{device} {ms:.3f} ms" for device, ms in latency_ms.items())


def print_json(values: dict[str, Any]) -> None:
    print(json.dumps({"schema": SCHEMA, **values}, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """A table on stdout; every column but the first is set to the right where all of it is numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    cells = [[_text(value) for value in row] for row in rows]
    for index, column in enumerate(columns):
        numeric = index > 0 and all(_is_number(row[index]) for row in cells)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*row)
    # In a pipe there is no width to fit: a row stays on its line.
    console = Console() if sys.stdout.isatty() else Console(width=max(400, 80))
    console.print(table)


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return text.strip("-").replace(".", "").replace(",", "").replace("±", "").replace(" ", "").isdigit() or text == "-"
