"""Plots: with and without colours, what stands above what, and their numbers."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_run import make_run
from screens import go, settle

from mnascli.tui.plot import Plot, ShortLabels, SparseLabels


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


SIZES = [(80, 24), (120, 40), (160, 50), (200, 60)]


@pytest.mark.parametrize(("trials", "size"), [*((1, size) for size in SIZES), (2, (80, 24)), (3, (80, 24))])
def test_the_ticks_of_a_few_trials_stay_apart(tmp_path: Path, trials: int, size: tuple[int, int]) -> None:
    async def script(app, pilot):
        await settle(pilot, app, "◆")
        for key in ("1", "2", "3"):
            await pilot.press(key)
            await pilot.pause(0.2)
            for plot in [one for one in app.screen.query(Plot) if one.is_on_screen and one.display]:
                assert_labels_apart(plot)
        counted = app.screen.query_one("#rewards Plot", Plot)
        assert shown(counted.query_one("#margin-bottom")) == [str(n) for n in range(1, trials + 1)]

    go(make_run(tmp_path / "made", trials, finished=False), script, size=size)


def test_equal_rewards_and_accuracies_have_ticks_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("made_run.math.cos", lambda _: 0.5)  # accuracy and reward
    monkeypatch.setattr("made_run.math.sin", lambda _: 0.5)  # latency

    async def script(app, pilot):
        await settle(pilot, app, "◆")
        for key in ("2", "3"):
            await pilot.press(key)
            await pilot.pause(0.2)
            for plot in [one for one in app.screen.query(Plot) if one.is_on_screen and one.display]:
                assert_labels_apart(plot)
        await pilot.press("5", "home", "enter")
        await settle(pilot, app, "Training")
        await pilot.press("3")
        await pilot.pause(0.2)
        curve = app.screen.query_one("#curve Plot", Plot)
        assert shown(curve.query_one("#margin-bottom")) == ["1", "2", "3", "4", "5"]

    go(make_run(tmp_path / "made", 8), script, size=(120, 40))


def shown(margin) -> list[str]:
    """The labels in a margin of a plot."""
    size = margin.size
    rows = ["".join(margin.get_pixel(x, y)[0] for x in range(size.width)) for y in range(size.height)]
    return " ".join(rows).split()


def assert_labels_apart(plot: Plot) -> None:
    """No number runs into the next one or stands there twice, and each axis has one."""
    for margin, ticks in (("#margin-bottom", plot._x_formatter), ("#margin-left", plot._y_formatter)):
        low, high = (plot._x_min, plot._x_max) if margin == "#margin-bottom" else (plot._y_min, plot._y_max)
        values, labels = ticks.get_ticks_and_labels(low, high)
        wanted = [label for value, label in zip(values, labels, strict=True) if label and low <= value <= high]
        found = shown(plot.query_one(margin))
        assert found and len(set(found)) == len(found)
        assert sorted(found) == sorted(wanted)


@given(low=st.floats(1e-4, 1e3), span=st.floats(0.021, 100.0), lines=st.integers(1, 60))
def test_numbers_beside_an_axis_are_short_and_each_in_a_line_of_its_own(low: float, span: float, lines: int) -> None:
    high = low * (1 + span)
    ticks, labels = ShortLabels(lambda: lines, 6).get_ticks_and_labels(low, high)
    shown_at = [tick for tick, label in zip(ticks, labels, strict=True) if label]
    assert len({label for label in labels if label}) == len(shown_at)
    assert all(len(label) <= 6 for label in labels)
    assert all(after - before >= (high - low) / lines * 0.999 for before, after in pairwise(shown_at))


@given(count=st.integers(1, 100_000), cells=st.integers(20, 300))
def test_an_axis_that_counts_has_whole_numbers(count: int, cells: int) -> None:
    ticks, _ = SparseLabels(lambda: cells, whole=True).get_ticks_and_labels(0.5, count + 0.5)
    assert ticks and all(tick == int(tick) for tick in ticks)
