"""What the plane and the rewards share: a plot of trials above a caption."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from mnascli.tui.messages import TrialChosen
from mnascli.tui.panel import Panel
from mnascli.tui.plot import Array, Plot, nearest


class PlotPanel(Panel):
    """Plots trials: `_trials[n]` is the one at `_x[n]`, `_y[n]`. A click near a point chooses its trial."""

    WHOLE = False  # whether x counts something

    DEFAULT_CSS = "PlotPanel { layout: vertical; } PlotPanel Static { height: auto; max-height: 3; padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._trials: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._x: Array = np.empty(0)
        self._y: Array = np.empty(0)

    def compose(self) -> ComposeResult:
        plot = Plot(whole=self.WHOLE)
        plot.display = False  # until there is something to plot
        yield plot
        yield Static()

    def cost_s(self) -> float:
        return self.query_one(Plot).render_s

    def _caption(self, text: Text | str) -> None:
        caption = self.query_one(Static)
        if str(caption.content) != str(text):
            caption.update(text)

    @on(Plot.Picked)
    def _open(self, event: Plot.Picked) -> None:
        index = nearest(event, self._x, self._y)
        if index is not None:
            self.post_message(TrialChosen(int(self._trials[index])))
