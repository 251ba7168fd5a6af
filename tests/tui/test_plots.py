"""Plots: with and without colours, what stands above what, and their numbers."""

from pathlib import Path

import numpy as np
import pytest
from screens import go, settle

from mnascli.tui.plot import Plot, SparseLabels


def test_every_tab_without_colours(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual's own filter for NO_COLOR ended the program at a plot that is not laid out yet."""
    monkeypatch.setenv("NO_COLOR", "1")

    async def script(app, pilot):
        assert "◆" in await settle(pilot, app, "◆")
        colours = {
            colour
            for strip in app.screen._compositor.render_strips()
            for segment in strip
            if segment.style
            for colour in (segment.style.color, segment.style.bgcolor)
        }
        assert all(one is None or len(set(one.get_truecolor())) == 1 for one in colours)
        for key in "234567":
            await pilot.press(key)
            await pilot.pause()
        await pilot.press("b")
        assert "Architecture" in await settle(pilot, app, "Architecture")

    go(run, script)


def test_the_letter_of_a_model_at_the_target_stands_on_the_line(run: Path) -> None:
    async def script(app, pilot):
        await settle(pilot, app, "made")
        await pilot.press("2")
        await settle(pilot, app, "A mobilenet-v2 x0.25")
        plot = app.screen.query_one("#plane Plane Plot", Plot)
        canvas, target = plot.query_one("#plot"), plot._v_lines[0].x
        height = (plot._y_min + plot._y_max) / 2
        at = plot.get_pixel_from_coordinate(target, height)
        assert canvas.get_pixel(*at)[0] == "│"
        plot.marks([target], [height], "Z", "bold yellow")
        await pilot.pause(0.2)
        assert canvas.get_pixel(*at)[0] == "Z"

    go(run, script, size=(110, 30))


def test_a_plot_that_is_not_laid_out_yet_keeps_its_points(run: Path) -> None:
    async def script(app, pilot):
        await settle(pilot, app, "made")
        plot = app.screen.query_one("#rewards Plot", Plot)  # on a tab that was not opened
        assert not plot.size
        plot.clear()
        plot.cloud(np.arange(1000.0), np.arange(1000.0) % 7, "cyan")
        assert len(plot._datasets[0].x) > 500

    go(run, script)


def test_the_numbers_below_a_narrow_plot_stay_apart() -> None:
    for width, count in ((200, 7), (30, 4)):
        ticks, labels = SparseLabels(lambda width=width: width).get_ticks_and_labels(0.034, 0.096)
        cells = (ticks[1] - ticks[0]) / (0.096 - 0.034) * width
        shown = [index for index, label in enumerate(labels) if label]
        assert len(shown) == count and (shown[1] - shown[0]) * cells > len("0.04")
