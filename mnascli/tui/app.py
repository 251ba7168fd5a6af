"""The application: a run's screen, or first the runs to choose from."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.binding import Binding
from textual.color import Color
from textual.filter import LineFilter, Monochrome

from mnascli.interrupts import EXIT_CODE, SIGNALS
from mnascli.tui.chooser import RunChooser
from mnascli.tui.help_screen import HelpScreen
from mnascli.tui.mouse import read_old_mice
from mnascli.tui.run_screen import RunScreen
from mnascli.tui.source import RunSource

DARK, LIGHT = "textual-dark", "textual-light"


class Greys(Monochrome):
    """What NO_COLOR asks for. Textual's own filter crashes on a segment without a style, which a plot has before it is
    laid out."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return super().apply([Segment(text, style or Style.null()) for text, style, _ in segments], background)


GREYS = Greys()  # one instance, because strips cache their result by it


def show(run: Path | None, root: Path) -> None:
    """Shows `run`, or offers the runs below `root`, until the user leaves; raises KeyboardInterrupt after a kill."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    app = MonitorApp(run, root)
    try:
        app.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if app.was_interrupted:
        raise KeyboardInterrupt


class MonitorApp(App[None]):
    """Shows `run`, or offers the runs below `root`."""

    TITLE = "mnas monitor"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (76, "-normal"), (150, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (18, "-tall"), (44, "-high")]
    BINDINGS = [
        Binding("question_mark,f1", "help", "Help"),
        Binding("t", "theme", "Light/dark", show=False),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, run: Path | None, root: Path) -> None:
        super().__init__()
        read_old_mice()
        self._run_path = run
        self._root = root
        self.was_interrupted = False

    def on_mount(self) -> None:
        # A signal is for the loop: an exception raised wherever Python is may be swallowed there, and the screen kept.
        with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, and outside the main thread
            for number in SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:
                    asyncio.get_running_loop().add_signal_handler(number, self._interrupt)
        if self._run_path is None:
            self.choose_run()
        else:
            self.push_screen(RunScreen(RunSource(self._run_path)))

    def _interrupt(self) -> None:
        if self.was_interrupted:
            os._exit(EXIT_CODE)
        self.was_interrupted = True
        self.exit()

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [GREYS if isinstance(one, Monochrome) else one for one in super().get_line_filters()]

    def choose_run(self) -> None:
        """Offer the runs, and show the chosen one instead of the previous one."""
        while len(self.screen_stack) > 1:
            self.pop_screen()
        self.push_screen(RunChooser(self._root), self._open)

    def _open(self, path: Path | None) -> None:
        if path is not None:
            self.push_screen(RunScreen(RunSource(path)))

    def action_help(self) -> None:
        self.push_screen(HelpScreen())

    def action_theme(self) -> None:
        self.theme = LIGHT if self.theme == DARK else DARK
