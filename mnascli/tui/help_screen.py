"""All the keys, and what the signs mean."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

KEYS = {
    "Everywhere": {
        "?, F1": "this help",
        "t": "light or dark",
        "q": "quit (a search continues)",
        "Tab, Shift+Tab": "next, previous part",
        "Ctrl+P": "all commands, by name",
    },
    "A run": {
        "1 to 7": "Overview, Plane, Rewards, Devices, Trials, Learned, Log",
        "b": "open the best trial",
        "v": "plane of the next device",
        "c": "copy the architecture (cursor's trial, else the best)",
        "e": "export it",
        "o": "other runs",
        "R": "read the log again from its start",
        "Esc": "clear the filter, back to the overview",
    },
    "Plots": {
        "click": "open the trial nearest to it",
        "+  -  wheel": "zoom",
        "arrows, drag": "move",
        "r": "show all of it again",
    },
    "Table of trials": {
        "arrows, Home, End, PageUp, PageDown": "move",
        "Enter, second click": "open",
        "/": "filter: acc>0.8 ms<=0.05 state=failed trial!=3 se0.25",
        "s, click on a title": "sort by the next column, by that one",
        "S": "the other way round",
    },
    "A trial": {
        "1 to 4": "Architecture, Samples, Training, Output",
        "n, p": "next, previous in the table's order",
        "v": "samples of the next device",
        "c": "copy the architecture string",
        "e": "export",
        "Esc": "back",
    },
    "Signs": {
        "· ▶ ✓ ∅ ✗": "asked for, running, done, hopeless (too slow to be trained), failed",
        "~": "an unstable latency, or one that was only predicted",
        "• ◆ │ A B": "a trial, the Pareto front, the target, reference models",
    },
}


class HelpScreen(ModalScreen[None]):
    CSS = """
    HelpScreen { align: center middle; }
    HelpScreen VerticalScroll { width: 96%; max-width: 84; height: 90%; border: thick $primary; background: $surface;
        padding: 0 1; }
    HelpScreen Static { height: auto; }
    HelpScreen .keys { padding-left: 2; }
    """
    BINDINGS = [Binding("escape,q,question_mark,f1", "dismiss", "Close")]

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            for title, keys in KEYS.items():
                yield Static(Text(title, style="bold underline"))
                table = Table.grid(padding=(0, 2))
                table.add_column(width=18 if self.app.size.width >= 60 else 10, style="bold")
                table.add_column()
                for key, meaning in keys.items():
                    table.add_row(key, meaning)
                yield Static(table, classes="keys")
