"""Results go to stdout, everything else to stderr; `--json` gives one object with "schema": 1."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnascli.cli.streams import voice
from mnascli.runs import mark

if TYPE_CHECKING:
    from mnascli.devices.pool import News

SCHEMA = 1

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
RunsOption = Annotated[
    Path, typer.Option("--runs", envvar="MNAS_RUNS", help="Folder of the run directories.", show_default=True)
]
RUNS = Path("runs")
LEAST = 6  # characters that a column is cut to
GAP = 2  # characters between the columns of a table


def say(message: str) -> None:
    """A line for the user that is not a result."""
    print(message, file=voice(), flush=True)


def fail(message: str, exit_code: int, as_json: bool) -> int:
    """Say in one line on stderr what is wrong, with --json as one JSON object; returns the exit code."""
    message = " ".join(message.splitlines())
    error = {"schema": SCHEMA, "error": {"message": message, "exit_code": exit_code}}
    say(json.dumps(error) if as_json else f"mnas: {message}")
    return exit_code


def say_news(news: News) -> None:
    """What happened to a device, while a command runs."""
    say(" ".join(part for part in (news.serial, news.kind.replace("_", " "), news.reason) if part))


def in_words(latency_ms: Mapping[str, float], verdict: Mapping[str, str] | None = None) -> str:
    """Latencies or targets by device, for a line of text; those with an uncertain verdict are marked."""
    verdict = verdict or {}
    return ", ".join(f"{device} {mark(verdict.get(device))}{ms:.3f} ms" for device, ms in latency_ms.items())


def print_json(values: dict[str, Any]) -> None:
    print(json.dumps({"schema": SCHEMA, **values}, indent=2))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None, *, one_line: bool = False
) -> None:
    """A table on stdout; every column but the first is right-aligned if it is all numbers.

    `one_line`: on a terminal each row is one line, the last column being cut to the space that the others leave.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[Text(_text(value)) for value in row] for row in rows]  # Text: a reason may look like rich's markup
    if one_line:
        cells = [[Text(" ".join(cell.plain.split())) for cell in row] for row in cells]
    lengths = [
        max([len(name), *(cell.cell_len for cell in column)]) for name, *column in zip(columns, *cells, strict=True)
    ]
    # In a pipe there is no width to fit: a row stays whole, on one line.
    console = Console() if sys.stdout.isatty() else Console(width=sum(lengths) + GAP * len(lengths))
    table = Table(title=title and Text(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    header = [*map(Text, columns)]
    if one_line:
        room = console.width - sum(lengths[:-1]) - GAP * len(lengths[:-1])
        for row in (header, *cells):
            row[-1].truncate(max(room, LEAST), overflow="ellipsis")
    for index, column in enumerate(header):
        numeric = index > 0 and all(_is_number(row[index].plain) for row in cells)
        justify: Any = "right" if numeric else "left"
        table.add_column(column, justify=justify, overflow="ellipsis" if one_line else "fold", no_wrap=one_line)
    for row in cells:
        table.add_row(*row)
    console.print(table)


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return text.strip("-").replace(".", "").replace(",", "").replace("±", "").replace(" ", "").isdigit() or text == "-"
