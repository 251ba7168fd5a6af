"""The table of trials, sorted and filtered by any column; it draws only visible rows: 10^5 trials cost little."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Input, Static

from mnascli.errors import UsageError
from mnascli.runs import Trial
from mnascli.tui.columns import Column, columns, make_filter, sort
from mnascli.tui.messages import TrialChosen
from mnascli.tui.panel import Panel
from mnascli.tui.source import RunSource

LAST_COLUMN = 120  # cells of the architecture, which may be scrolled to


class Rows(ScrollView, can_focus=True):
    """Rows under a header, drawn as they come into view, with a cursor."""

    COMPONENT_CLASSES = {"rows--header", "rows--cursor", "rows--failed"}
    DEFAULT_CSS = """
    Rows { height: 1fr; overflow-x: auto; }
    Rows > .rows--header { text-style: bold underline; color: $foreground; }
    Rows > .rows--cursor { background: $primary; color: $text; text-style: bold; }
    Rows > .rows--failed { color: $text-error; }
    """
    BINDINGS = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "move_page(-1)", "Page up", show=False),
        Binding("pagedown", "move_page(1)", "Page down", show=False),
        Binding("home", "to(0)", "First", show=False),
        Binding("end", "to(-1)", "Last", show=False),
        Binding("left", "scroll_left", "Left", show=False),
        Binding("right", "scroll_right", "Right", show=False),
        Binding("enter", "open", "Open trial"),
    ]

    class HeaderClicked(Message):
        def __init__(self, column: int) -> None:
            super().__init__()
            self.column = column

    def __init__(self) -> None:
        super().__init__()
        self.columns: list[Column] = columns(())
        self.titles: list[str] = [column.name for column in self.columns]
        self.trials: list[Trial] = []
        self.cursor = 0

    def fill(self, among: list[Column], titles: list[str], trials: list[Trial]) -> None:
        """Show these trials; the cursor stays on the trial where it was."""
        chosen = self.chosen
        self.columns, self.titles, self.trials = among, titles, trials
        if chosen is not None and not (self.cursor < len(trials) and trials[self.cursor] is chosen):
            self.cursor = next((row for row, trial in enumerate(trials) if trial is chosen), 0)
        self.cursor = min(self.cursor, max(0, len(trials) - 1))
        self.virtual_size = Size(sum(self.widths()) + len(among), len(trials) + 1)
        self.refresh()

    @property
    def chosen(self) -> Trial | None:
        return self.trials[self.cursor] if self.cursor < len(self.trials) else None

    def widths(self) -> list[int]:
        return [column.width or LAST_COLUMN for column in self.columns]

    def render_line(self, y: int) -> Strip:
        x, top = self.scroll_offset
        if y == 0:
            style = self.get_component_rich_style("rows--header")
            strip = self._strip(self.titles, style)
        else:
            row = top + y - 1
            if row >= len(self.trials):
                return Strip.blank(self.size.width, self.rich_style)
            trial = self.trials[row]
            style = self.rich_style
            if row == self.cursor:
                style += self.get_component_rich_style("rows--cursor")
            elif trial.state == "failed":
                style += self.get_component_rich_style("rows--failed")
            mark = "›" if row == self.cursor else " "
            strip = self._strip([column.text(trial) for column in self.columns], style, mark)
        return strip.crop(x, x + self.size.width)

    def _strip(self, cells: list[str], style: Style, mark: str = " ") -> Strip:
        parts = [mark]
        for index, (text, width) in enumerate(zip(cells, self.widths(), strict=True)):
            last = index == len(cells) - 1
            cut = text if len(text) <= width else text[: width - 1] + "…"
            parts.append(cut.ljust(width) if last or index == 1 else cut.rjust(width) + " ")
        line = "".join(parts)
        return Strip([Segment(line.ljust(self.size.width + self.scroll_offset.x), style)])

    def action_move(self, by: int) -> None:
        self._go(self.cursor + by)

    def action_move_page(self, by: int) -> None:
        self._go(self.cursor + by * max(1, self.size.height - 2))

    def action_to(self, row: int) -> None:
        self._go(row % max(1, len(self.trials)))

    def action_open(self) -> None:
        if self.chosen is not None:
            self.post_message(TrialChosen(self.chosen.trial))

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            x, right = event.x + self.scroll_offset.x - 1, 0
            for index, width in enumerate(self.widths()):
                right += width + 1
                if x < right:
                    self.post_message(self.HeaderClicked(index))
                    return
            return
        row = int(self.scroll_offset.y) + event.y - 1
        if row < len(self.trials):
            again = row == self.cursor
            self._go(row)
            if again or event.chain > 1:
                self.action_open()

    def _go(self, row: int) -> None:
        self.cursor = min(max(0, row), max(0, len(self.trials) - 1))
        self.scroll_to_region(
            Region(int(self.scroll_offset.x), self.cursor, 1, 2), animate=False, force=True, x_axis=False
        )
        self.refresh()


class TrialsTable(Panel):
    DEFAULT_CSS = """
    TrialsTable { layout: vertical; }
    TrialsTable Input { display: none; border: none; height: 1; padding: 0 1; background: $surface; }
    TrialsTable Input.open { display: block; }
    TrialsTable .status { height: 1; padding: 0 1; color: $text-muted; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._sorted_by, self._descending = "trial", True
        self._filter, self._problem = "", ""

    def compose(self) -> ComposeResult:
        yield Input(placeholder="filter: acc>0.8 ms<0.05 state=failed se0.25", compact=True, select_on_focus=False)
        yield Static(classes="status", markup=False)
        yield Rows()

    @property
    def shown(self) -> list[Trial]:
        return self.query_one(Rows).trials

    def key(self, source: RunSource) -> tuple[int, ...]:
        return (*super().key(source), hash((self._sorted_by, self._descending, self._filter)))

    def draw(self, source: RunSource) -> None:
        state = source.overview.state
        among = columns(list(source.overview.devices))
        column = next((one for one in among if one.name == self._sorted_by), among[0])
        trials, self._problem = list(state.trials.values()), ""
        if self._filter:
            try:
                wanted = make_filter(self._filter, among)
                trials = [trial for trial in trials if wanted(trial)]
            except UsageError as error:
                self._problem = str(error)
        if column.name == "trial":  # they are already in this order
            trials = trials[::-1] if self._descending else trials
        else:
            trials = sort(trials, column, self._descending)
        arrow = "▼" if self._descending else "▲"
        titles = [one.name + arrow if one is column else one.name for one in among]
        self.query_one(Rows).fill(among, titles, trials)
        status = f"{len(trials):,} of {len(state.trials):,} trials, by {column.name} {arrow}"
        if self._filter:
            status += f"   filter: {self._filter}"
        self.query_one(".status", Static).update(f"! {self._problem}" if self._problem else status)

    def edit_filter(self) -> None:
        box = self.query_one(Input)
        box.add_class("open")
        box.focus()

    def sort_next(self) -> None:
        names = [column.name for column in self.query_one(Rows).columns]
        at = names.index(self._sorted_by) if self._sorted_by in names else 0
        self._sorted_by = names[(at + 1) % len(names)]
        self._next = 0.0

    def reverse(self) -> None:
        self._descending = not self._descending
        self._next = 0.0

    @on(Input.Changed)
    def _type(self, event: Input.Changed) -> None:
        event.stop()
        self._filter, self._next = event.value.strip(), 0.0

    @on(Input.Submitted)
    def _close(self, event: Input.Submitted) -> None:
        event.stop()
        event.input.remove_class("open")
        self.query_one(Rows).focus()

    def clear_filter(self) -> bool:
        """Clear the filter and close its line; returns whether there was either."""
        box = self.query_one(Input)
        was = bool(self._filter) or box.has_class("open")
        box.value = ""
        box.remove_class("open")
        self.query_one(Rows).focus()
        self._next = 0.0
        return was

    @on(Rows.HeaderClicked)
    def _sort(self, event: Rows.HeaderClicked) -> None:
        name = self.query_one(Rows).columns[event.column].name
        self._descending = not self._descending if name == self._sorted_by else True
        self._sorted_by, self._next = name, 0.0
