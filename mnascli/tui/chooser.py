"""The list of runs, to choose one from."""

from __future__ import annotations

import time
from pathlib import Path

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from mnascli.runs import list_runs
from mnascli.tui import words
from mnascli.tui.source import WORDS, RunSource

READ_S = 0.03


class RunChooser(Screen[Path]):
    """Lists the runs below a folder, the most recently written first; the state of each is filled in as it is read."""

    CSS = """
    RunChooser #title { height: auto; padding: 0 1; background: $panel; text-style: bold; }
    RunChooser OptionList { height: 1fr; border: none; text-wrap: nowrap; text-overflow: ellipsis; }
    """
    BINDINGS = [
        Binding("enter", "select", "Open", show=True),
        Binding("r", "refresh", "Look again"),
        Binding("escape", "app.quit", "Quit", show=False),
    ]

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root
        self._runs: list[Path] = []
        self._unread: list[RunSource] = []

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield OptionList(markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.action_refresh()
        self.set_interval(0.05, self._read_on)

    def action_refresh(self) -> None:
        self._runs = list_runs(self._root)
        self._unread = [RunSource(path) for path in self._runs]
        box = self.query_one(OptionList)
        box.clear_options()
        box.add_options([Option(line(path), id=str(index)) for index, path in enumerate(self._runs)])
        found = (
            f"{len(self._runs)} {'run' if len(self._runs) == 1 else 'runs'} in {self._root}"
            if self._runs
            else (f"no run in {self._root} yet: `mnas search` makes one; r looks again")
        )
        self.query_one("#title", Static).update(found)
        if self._runs:
            box.highlighted = 0
            box.focus()

    def _read_on(self) -> None:
        """Read a little of the first run that has not been read to its end."""
        if not self._unread:
            return
        source = self._unread[0]
        source.poll(READ_S)
        if not source.is_reading:
            self._unread.pop(0)
            index = self._runs.index(source.path)
            self.query_one(OptionList).replace_option_prompt_at_index(index, line(source.path, source))

    def action_select(self) -> None:
        self.query_one(OptionList).action_select()

    @on(OptionList.OptionSelected)
    def _open(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._runs[event.option_index])


def line(path: Path, source: RunSource | None = None) -> Text:
    try:
        age = words.duration(time.time() - (path / "events.jsonl").stat().st_mtime) + " ago"
    except OSError:
        age = "gone"
    text = Text.assemble((path.name, "bold"), f"   {age}", no_wrap=True, overflow="ellipsis")
    if source is None:
        return text
    if source.problem:
        return text.append("   ✗ damaged: ", style="red").append(source.problem, style="red")
    view = source.overview
    state = view.state
    word = WORDS[source.word] + ("" if source.word in ("finished", "new") else f", {state.phase}")
    text.append(f"   {word}   {view.done} trials, {view.failed} failed")
    if view.best is not None:
        text.append(f"   best {words.number(view.best.accuracy)}")
    return text
