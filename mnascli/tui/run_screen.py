"""The screen of one run: a head line, tabs of panels, and the keys."""

from __future__ import annotations

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.screen import Screen
from textual.widgets import Footer, Static, TabbedContent, TabPane

from mnascli.tui import words
from mnascli.tui.devices_panel import DevicesPanel
from mnascli.tui.export_dialog import ExportDialog
from mnascli.tui.learned_panel import LearnedPanel
from mnascli.tui.log_panel import LogPanel
from mnascli.tui.messages import TrialChosen
from mnascli.tui.panel import Panel
from mnascli.tui.plane import Plane
from mnascli.tui.progress_panel import ProgressPanel
from mnascli.tui.rewards import Rewards
from mnascli.tui.source import WORDS, RunSource
from mnascli.tui.trial_screen import TrialScreen
from mnascli.tui.trials_table import Rows, TrialsTable

TICK_S = 0.1
READ_S = 0.05  # seconds of each tick at most, for reading the log
TABS = ("overview", "plane", "rewards", "devices", "trials", "learned", "log")


class RunScreen(Screen[None]):
    CSS_PATH = "run_screen.tcss"
    BINDINGS = [
        *(Binding(str(index), f"tab('{name}')", name.capitalize(), show=False) for index, name in enumerate(TABS, 1)),
        Binding("question_mark,f1", "app.help", "Help"),
        Binding("q", "app.quit", "Quit"),
        Binding("slash", "filter", "Filter"),
        Binding("s", "sort", "Sort"),
        Binding("S", "reverse", "Reverse", show=False),
        Binding("c,y", "copy", "Copy"),
        Binding("e", "export", "Export"),
        Binding("v", "device", "Device", show=False),
        Binding("b", "best", "Best trial", show=False),
        Binding("R", "reload", "Read again", show=False),
        Binding("o", "other", "Other run", show=False),
        Binding("escape", "back", "Back", show=False),
    ]

    def __init__(self, source: RunSource) -> None:
        super().__init__()
        self.source = source

    def compose(self) -> ComposeResult:
        yield Static(id="head", markup=False)
        yield Static(id="problem", markup=False)
        with TabbedContent(initial="overview"):
            with TabPane("1 Overview", id="overview"):
                yield ProgressPanel()
                with Container(id="grid"):
                    yield Plane()
                    yield Rewards()
                    with Container(classes="large"):
                        yield DevicesPanel()
                    with Container(classes="large"):
                        yield TrialsTable()
            with TabPane("2 Plane", id="plane"):
                yield Plane()
            with TabPane("3 Rewards", id="rewards"):
                yield Rewards()
            with TabPane("4 Devices", id="devices"):
                yield DevicesPanel()
            with TabPane("5 Trials", id="trials"):
                yield TrialsTable()
            with TabPane("6 Learned", id="learned"):
                yield LearnedPanel()
            with TabPane("7 Log", id="log"):
                yield LogPanel()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self._tick()
        self.set_interval(TICK_S, self._tick)

    def _tick(self) -> None:
        self.source.poll(READ_S)
        if self.app.screen is not self:  # a trial is being shown
            return
        self._show_head()
        for panel in self.query(Panel):
            panel.show(self.source)

    def _show_head(self) -> None:
        line = head(self.source)
        widget = self.query_one("#head", Static)
        if widget.content != line:
            widget.update(line)
        problem = self.source.problem or self.source.overview.state.stopped or ""
        box = self.query_one("#problem", Static)
        if box.content != problem:
            box.update(problem)
            box.display = bool(problem)

    @property
    def tab(self) -> str:
        return self.query_one(TabbedContent).active

    @property
    def table(self) -> TrialsTable:
        """The visible table of trials, else the one in its own tab."""
        seen = [table for table in self.query(TrialsTable) if table.is_on_screen]
        return seen[0] if seen else self.query_one("#trials TrialsTable", TrialsTable)

    def action_tab(self, name: str) -> None:
        self.query_one(TabbedContent).active = name
        if name == "trials":
            self.query_one("#trials Rows", Rows).focus()

    def action_filter(self) -> None:
        if not self.table.is_on_screen:
            self.action_tab("trials")
        self.table.edit_filter()

    def action_sort(self) -> None:
        if not self.table.is_on_screen:
            self.action_tab("trials")
        self.table.sort_next()

    def action_reverse(self) -> None:
        self.table.reverse()

    def action_back(self) -> None:
        """Clear the filter; else go to the overview."""
        if not (self.table.is_on_screen and self.table.clear_filter()):
            self.action_tab("overview")

    def action_device(self) -> None:
        for plane in self.query(Plane):
            plane.next_device()

    def action_reload(self) -> None:
        self.source.reload()

    def action_other(self) -> None:
        self.app.choose_run()  # type: ignore[attr-defined]

    def action_copy(self) -> None:
        number = self._number()
        if number is not None:
            self.app.copy_to_clipboard(self.source.overview.state.trials[number].architecture)
            self.notify(f"the architecture of trial {number} is on the clipboard, if the terminal allows it")

    def action_export(self) -> None:
        number = self._number()
        if number is not None:
            self.app.push_screen(ExportDialog(self.source, number))

    def action_best(self) -> None:
        best = self.source.overview.best
        if best is not None:
            self._open(best.trial)

    @on(TrialChosen)
    def _chosen(self, event: TrialChosen) -> None:
        self._open(event.trial)

    def _open(self, number: int) -> None:
        order = [trial.trial for trial in self.table.shown] or sorted(self.source.overview.state.trials)
        self.app.push_screen(TrialScreen(self.source, number, order))

    def _number(self) -> int | None:
        """The trial that a key acts on: the table's cursor if it is visible, else the best."""
        chosen = self.table.query_one(Rows).chosen if self.table.is_on_screen else None
        trial = chosen or self.source.overview.best
        if trial is None:
            self.notify("there is no trial yet", severity="warning")
        return trial.trial if trial else None


def head(source: RunSource) -> Text:
    """Name, state and phase of the run in one line."""
    state = source.overview.state
    if source.problem:
        word = "✗ cannot be read further"
    elif source.is_reading:
        word = f"reading the log {source.share_read:.0%}"
    else:
        word = WORDS[source.word]
    last = f"last event {words.clock(state.last_time)}" if state.last_time is not None else ""
    parts = [f"mnas {source.name}", word, f"phase {state.phase}" if not state.is_finished else "", last]
    return Text("  ".join(part for part in parts if part), no_wrap=True, overflow="ellipsis")
