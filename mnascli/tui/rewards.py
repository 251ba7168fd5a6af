"""Reward over trials, in the order in which they were done, with the moving mean."""

from __future__ import annotations

import numpy as np
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from mnascli.runs.views import MEAN_OVER
from mnascli.tui.messages import TrialChosen
from mnascli.tui.panel import Panel
from mnascli.tui.plot import Array, Plot, nearest
from mnascli.tui.source import RunSource


class Rewards(Panel):
    DEFAULT_CSS = "Rewards { layout: vertical; } Rewards Static { height: auto; max-height: 2; padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._trials: list[int] = []
        self._x: Array = np.empty(0)
        self._y: Array = np.empty(0)

    def compose(self) -> ComposeResult:
        yield Plot()
        yield Static()

    def draw(self, source: RunSource) -> None:
        view = source.overview
        plot, caption = self.query_one(Plot), self.query_one(Static)
        plot.display = bool(view.rewards)
        if not view.rewards:
            caption.update("no trial was rewarded yet")
            return
        self._trials = [trial for trial, _ in view.rewards]
        self._y = np.array([reward for _, reward in view.rewards], dtype=np.float64)
        self._x = np.arange(1, len(self._y) + 1, dtype=np.float64)
        plot.clear()
        plot.room(self._x, self._y)
        plot.cloud(self._x, self._y, "grey62")
        chosen = np.unique(np.linspace(0, len(view.means) - 1, 2 * max(1, self.size.width)).astype(int))
        plot.line(self._x[chosen], np.array(view.means)[chosen], "bold cyan")
        caption.update(
            Text.assemble(
                ("reward ↑ trials done →   ", "bold"),
                ("∙", "grey62"),
                " trial  ",
                ("⡠⠊", "bold cyan"),
                f" mean of the last {MEAN_OVER}: {view.means[-1]:.3f}",
            )
        )

    @on(Plot.Picked)
    def _open(self, event: Plot.Picked) -> None:
        index = nearest(event, self._x, self._y)
        if index is not None:
            self.post_message(TrialChosen(self._trials[index]))
