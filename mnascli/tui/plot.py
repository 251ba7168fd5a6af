"""A plot of up to hundreds of thousands of points: as many are drawn as the terminal can show apart."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from textual import on
from textual.app import RenderResult
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual_hires_canvas import Canvas, HiResMode
from textual_plot import NumericAxisFormatter, PlotWidget
from textual_plot.plot_widget import ScatterPlot, VLinePlot

Array = NDArray[np.float64]
DOTS = (2, 4)  # dots of a cell in braille: across, down
FEW = 64  # points: up to this many are drawn as large dots, and none is left out
LEAST = 0.02  # of the largest value, the least that a plot spans: nearly equal values fill part of it
MARGIN = 0.06  # share of the points' span left free on every side
ROOM = " "  # marks the free margin


class Plot(PlotWidget):
    """textual-plot's widget with tight margins, which says where it was clicked and thins out what it draws."""

    class Picked(Message):
        """The plot was clicked at (x, y) in its own coordinates; `cell_x` and `cell_y` are how much a cell covers."""

        def __init__(self, plot: Plot, x: float, y: float, cell_x: float, cell_y: float) -> None:
            super().__init__()
            self.plot = plot
            self.x, self.y, self.cell_x, self.cell_y = x, y, cell_x, cell_y

    DEFAULT_CSS = """
    Plot { height: 1fr; }
    Plot > .plot--axis { color: $primary; }
    Plot > .plot--tick { color: $foreground; text-style: none; }
    """

    def __init__(self, *, whole: bool = False, id: str | None = None) -> None:
        """`whole`: x counts something, so that its axis has only whole numbers."""
        super().__init__(id=id)
        self._whole = whole
        self.set_reactive(Plot.margin_top, 0)
        self.set_reactive(Plot.margin_bottom, 1)
        self.set_reactive(Plot.margin_left, 7)
        self.set_x_formatter(SparseLabels(lambda: self.size.width - self.margin_left, whole))
        self.set_y_formatter(ShortLabels(lambda: self.size.height - self.margin_bottom, self.margin_left - 1))
        self.render_s = 0.0  # of processor time, for the last render that redrew

    def render(self) -> RenderResult:
        draws, began = self._needs_rerender, time.thread_time()
        result = super().render()
        if draws:
            self.render_s = time.thread_time() - began
        return result

    def room(self, x: Sequence[float] | Array, y: Sequence[float] | Array) -> None:
        """Leave some space around these points, so that none of them is on the frame."""
        (left, right), (low, high) = _widened(np.asarray(x), self._whole), _widened(np.asarray(y))
        self.marks([left, right], [low, high], ROOM, "")

    def cloud(self, x: Array, y: Array, style: str) -> None:
        """Draw points as dots; of those that share a dot, one."""
        if len(x) <= FEW:
            self.marks(x, y, "•", style)
            return
        size = self.size or self.app.size  # it has none before it is laid out
        self.scatter(*thinned(x, y, size), hires_mode=HiResMode.BRAILLE, marker_style=style)

    def line(self, x: Sequence[float] | Array, y: Sequence[float] | Array, style: str) -> None:
        self.plot(x, y, hires_mode=HiResMode.BRAILLE, line_style=style)

    def marks(self, x: Sequence[float] | Array, y: Sequence[float] | Array, marker: str, style: str) -> None:
        self.scatter(x, y, marker=marker, marker_style=style)

    def _render_v_line_plot(self, vline: VLinePlot) -> None:
        """A vertical line. It is drawn last, and would hide the marks in its column: they are drawn again."""
        super()._render_v_line_plot(vline)
        canvas = self.query_one("#plot", Canvas)
        column, _ = self.get_pixel_from_coordinate(vline.x, 0.0)
        for one in self._datasets:
            if not isinstance(one, ScatterPlot) or one.hires_mode is not None or one.marker == ROOM:
                continue
            for x, y in zip(one.x, one.y, strict=True):
                at = self.get_pixel_from_coordinate(x, y)
                if at[0] == column and self._y_min <= y <= self._y_max:
                    canvas.set_pixel(*at, char=one.marker, style=one.marker_style)

    @on(Click)
    def _pick(self, event: Click) -> None:
        canvas = self.query_one("#plot", Canvas)
        cell = event.screen_offset - canvas.region.offset
        x, y = self.get_coordinate_from_pixel(cell.x, cell.y)
        next_x, next_y = self.get_coordinate_from_pixel(cell.x + 1, cell.y + 1)
        self.post_message(self.Picked(self, x, y, abs(next_x - x) or 1.0, abs(next_y - y) or 1.0))


class SparseLabels(NumericAxisFormatter):
    """Numbers below an axis, with enough left out to keep the others apart."""

    def __init__(self, cells: Callable[[], int], whole: bool = False) -> None:
        self._cells = cells  # of the axis, now
        self._whole = whole

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        ticks = super().get_ticks(min_, max_, max_ticks)
        if self._whole and len(ticks) > 1 and ticks[1] - ticks[0] < 1:
            return [float(tick) for tick in range(math.ceil(min_), math.floor(max_) + 1)]
        return ticks

    def get_ticks_and_labels(self, min_: float, max_: float, max_ticks: int = 8) -> tuple[list[float], list[str]]:
        ticks, labels = super().get_ticks_and_labels(min_, max_, max_ticks)
        cells = self._cells()
        if len(ticks) > 1 and cells > 0:
            apart, longest = (ticks[1] - ticks[0]) / (max_ - min_) * cells, max(map(len, labels))
            each = math.ceil((longest + 1) / apart)
            labels = [label if index % each == 0 else "" for index, label in enumerate(labels)]
            if ticks[-1] == max_ and each * apart < 1.5 * longest + 1:  # it ends at its tick, not centred on it
                labels[-1] = ""
        return ticks, labels


class ShortLabels(NumericAxisFormatter):
    """Numbers beside an axis, no longer than fits, no two on a line and no two alike."""

    def __init__(self, lines: Callable[[], int], width: int) -> None:
        self._lines, self._width = lines, width

    def get_ticks_and_labels(self, min_: float, max_: float, max_ticks: int = 8) -> tuple[list[float], list[str]]:
        ticks, labels = super().get_ticks_and_labels(min_, max_, max_ticks)
        lines = self._lines()
        each = 1
        if len(ticks) > 1 and lines > 0:
            each = max(1, math.ceil((max_ - min_) / ((ticks[1] - ticks[0]) * lines)))
        shown: list[str] = []
        for index, label in enumerate(labels):
            short = label[: self._width].removesuffix(".")
            shown.append(short if index % each == 0 and short not in shown else "")
        return ticks, shown


class GrowingArray:
    """A list of rows of numbers that grows at its end, as an array: only new rows are converted."""

    def __init__(self, width: int) -> None:
        self._values: Sequence[Any] = ()
        self._array: Array = np.empty((0, width))

    def of(self, values: Sequence[Any]) -> Array:
        """The array of all `values`; for a different list, or one that shrank, from the beginning."""
        width = self._array.shape[1]
        if values is not self._values or len(values) < len(self._array):
            self._values, self._array = values, np.empty((0, width))
        new = values[len(self._array) :]
        if new:
            self._array = np.concatenate([self._array, np.array(new, dtype=np.float64).reshape(-1, width)])
        return self._array


def _widened(values: Array, whole: bool = False) -> tuple[float, float]:
    """Both ends with a margin; for nearly equal values, wide enough for their ticks to differ."""
    low, high = float(values.min()), float(values.max())
    least = 1.0 if whole else LEAST * max(abs(low), abs(high)) or LEAST
    margin = max((high - low) * MARGIN, (least - (high - low)) / 2)
    return low - margin, high + margin


def thinned(x: Array, y: Array, size: Size) -> tuple[Array, Array]:
    """The points, only the first for each dot of a widget of that size."""
    across, down = max(1, size.width) * DOTS[0], max(1, size.height) * DOTS[1]
    column = _dots(x, across)
    row = _dots(y, down)
    _, first = np.unique(column * down + row, return_index=True)
    return x[first], y[first]


def _dots(values: Array, count: int) -> Array:
    low, high = float(values.min()), float(values.max())
    return np.rint((values - low) / ((high - low) or 1.0) * (count - 1))


def nearest(picked: Plot.Picked, x: Array, y: Array, reach: float = 3.0) -> int | None:
    """The index of the point nearest to where a plot was clicked, None if none is within `reach` cells."""
    if not len(x):
        return None
    distance: Any = ((x - picked.x) / picked.cell_x) ** 2 + ((y - picked.y) / picked.cell_y) ** 2
    index = int(distance.argmin())
    return index if distance[index] <= reach**2 else None
