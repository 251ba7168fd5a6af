"""Reward over trials, in the order in which they finished, with the moving mean."""

from __future__ import annotations

import numpy as np
from rich.text import Text

from mnascli.runs.views import MEAN_OVER
from mnascli.tui.plot import FEW, GrowingArray, Plot
from mnascli.tui.plot_panel import PlotPanel
from mnascli.tui.source import RunSource


class Rewards(PlotPanel):
    WHOLE = True

    def __init__(self) -> None:
        super().__init__()
        self._rewards, self._means = GrowingArray(2), GrowingArray(1)

    def draw(self, source: RunSource) -> None:
        view = source.overview
        plot = self.query_one(Plot)
        plot.display = bool(view.rewards)
        if not view.rewards:
            self._caption("no trial has a reward yet")
            return
        array = self._rewards.of(view.rewards)
        self._trials, self._y = array[:, 0].astype(np.int64), array[:, 1]
        self._x = np.arange(1, len(self._y) + 1, dtype=np.float64)
        plot.clear()
        plot.room(self._x, self._y)
        many = len(self._y) > FEW  # many dots are drawn behind the mean's line, few in front of it
        if many:
            plot.cloud(self._x, self._y, "grey62")
        chosen = np.unique(np.linspace(0, len(view.means) - 1, 2 * max(1, self.size.width)).astype(int))
        plot.line(self._x[chosen], self._means.of(view.means)[chosen, 0], "bold cyan")
        if not many:
            plot.cloud(self._x, self._y, "grey62")
        self._caption(
            Text.assemble(
                ("reward ↑ trials done →   ", "bold"),
                ("•", "grey62"),
                " trial  ",
                ("⡠⠊", "bold cyan"),
                f" mean of the last {MEAN_OVER}: {view.means[-1]:.3f}",
            )
        )
