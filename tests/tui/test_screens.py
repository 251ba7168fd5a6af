"""Every screen, by its keys, as a person would: Textual's Pilot presses them."""

import json
from pathlib import Path

import pytest
from made_run import events, lines, make_run
from screens import go, settle, text

from mnascli.tui.app import LIGHT
from mnascli.tui.export_dialog import ExportDialog, commands
from mnascli.tui.plane import Plane
from mnascli.tui.plot import Plot
from mnascli.tui.source import RunSource
from mnascli.tui.trial_screen import TrialScreen
from mnascli.tui.trials_table import Rows


def test_the_overview_tells_how_it_goes(run: Path) -> None:
    async def script(app, pilot):
        screen = await settle(pilot, app, "made")
        for said in (
            "✓ finished",
            "24 trials",
            "winner: trial",
            "failed 3 of 24",
            "ValueError 3",
            "host 0.500 ms",
            "◆",
            "│",
        ):
            assert said in screen

    go(run, script)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("2", ["accuracy ↑", "◆ front", "target 20.0 ms", "A mobilenet-v2 x0.25", "v"]),
        ("3", ["reward ↑", "mean of the last 20"]),
        ("4", ["pixel-6", "S1", "S2", "measured 11", "2800 MHz", "54-56 °C", "drift +1.3%", "▂", "host"]),
        ("5", ["24 of 24 trials", "✗ failed", "[train: the loss is not a number]", "~"]),
        ("6", ["entropy", "block1", "mbconv3", "50%"]),
        ("7", ["exported export/made.tflite", "phase finalists", "trial 22 failed", "devices: pixel-6-1 (S1)"]),
    ],
)
def test_each_tab(run: Path, key: str, says: list[str]) -> None:
    async def script(app, pilot):
        await settle(pilot, app, "made")
        await pilot.press(key)
        screen = await settle(pilot, app, says[0])
        for said in says:
            assert said in screen, f"{said!r} is not in\n{screen}"

    go(run, script, size=(110, 30))


def test_sorting_and_filtering(run: Path) -> None:
    async def script(app, pilot):
        await settle(pilot, app, "made")
        await pilot.press("5", "s", "s")
        assert "by accuracy ▼" in await settle(pilot, app, "by accuracy ▼")
        rows = app.screen.query_one("#trials Rows", Rows)
        accuracies = [trial.accuracy for trial in rows.trials if trial.accuracy is not None]
        assert accuracies == sorted(accuracies, reverse=True)
        assert [trial.accuracy for trial in rows.trials[-3:]] == [None] * 3
        await pilot.press("S", "slash", *"acc>0.4")
        assert "filter: acc>0.4" in await settle(pilot, app, "filter: acc>0.4")
        await pilot.press("enter")
        assert rows.trials and all((trial.accuracy or 0) > 0.4 for trial in rows.trials)
        await pilot.press("slash", *"x")
        assert "a number was expected" in await settle(pilot, app, "a number was expected")
        await pilot.press("escape")
        assert "24 of 24" in await settle(pilot, app, "24 of 24")

    go(run, script)


def test_a_trial_and_its_neighbours(run: Path) -> None:
    async def script(app, pilot):
        await settle(pilot, app, "made")
        await pilot.press("5", "home", "enter")
        screen = await settle(pilot, app, "trial 23")
        for said in ("MBConv3 3×3 /2 SE 0.25", "SepConv 5×5 ×2", "multiply-adds", "14×14×8", "↷ identity"):
            assert said in screen
        assert "180 runs in 3 sessions" in screen and "5 epochs, last" in screen
        await pilot.press("n")
        screen = await settle(pilot, app, "trial 22")
        for said in ("✗ failed", "the loss is not a number", "Traceback: the loss", "not trained", "not measured"):
            assert said in screen
        await pilot.press("p", "v")
        assert "host: the samples were not kept" in await settle(pilot, app, "were not kept")
        await pilot.press("c", "escape")
        assert app.clipboard.startswith("stem_c8,ir_r1") and "_c31," in app.clipboard
        assert not isinstance(app.screen, TrialScreen)

    go(run, script, size=(100, 90))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 50), (200, 60), (160, 24)])
def test_the_keys_of_a_trial_show_each_of_its_parts(run: Path, size: tuple[int, int]) -> None:
    (run / "trials" / "000023" / "stderr.txt").write_text("".join(f"line {n} of its child\n" for n in range(300)))

    async def script(app, pilot):
        await settle(pilot, app, "made")
        await pilot.press("5", "home", "enter")
        await settle(pilot, app, "trial 23")
        for key, title, inside in (
            ("4", "4 Output", "line 0 of its child"),
            ("3", "3 Training", "5 epochs, last"),
            ("2", "2 Samples", "180 runs in 3 sessions"),
            ("1", "1 Architecture", "input    28×28×1"),
        ):
            await pilot.press(key)
            screen = await settle(pilot, app, inside)
            assert title in screen and inside in screen, f"{title} is not in\n{screen}"

    go(run, script, size=size)


def test_a_click_on_the_plane_opens_the_trial(run: Path) -> None:
    async def script(app, pilot):
        await settle(pilot, app, "made")
        await pilot.press("2")
        await settle(pilot, app, "(latency alone)")
        plane = app.screen.query_one("#plane Plane", Plane)
        plot = plane.query_one(Plot)
        x, y = plot.get_pixel_from_coordinate(float(plane._x[5]), float(plane._y[5]))
        await pilot.click(plot.query_one("#plot"), offset=(x, y))
        screen = await settle(pilot, app, "Architecture")
        assert isinstance(app.screen, TrialScreen)
        places = zip(plane._x, plane._y, plane._trials, strict=True)
        there = [trial for *at, trial in places if plot.get_pixel_from_coordinate(*map(float, at)) == (x, y)]
        assert any(f"trial {trial} " in screen for trial in there)

    go(run, script, size=(120, 40))


def test_mouse_in_the_table(run: Path) -> None:
    async def script(app, pilot):
        await settle(pilot, app, "made")
        await pilot.press("5")
        await settle(pilot, app, "24 of 24")
        assert await pilot.click("#trials Rows", offset=(30, 0))
        assert "by accuracy" in await settle(pilot, app, "by accuracy") or "by pixel-6" in text(app)
        assert await pilot.click("#trials Rows", offset=(3, 4))
        assert app.screen.query_one("#trials Rows", Rows).cursor == 3
        assert await pilot.click("#trials Rows", offset=(3, 4))
        await settle(pilot, app, "Architecture")
        assert isinstance(app.screen, TrialScreen)

    go(run, script)


def test_help_theme_and_quitting(run: Path) -> None:
    async def script(app, pilot):
        await settle(pilot, app, "made")
        await pilot.press("question_mark")
        screen = await settle(pilot, app, "this help")
        assert "light or dark" in screen
        await pilot.press("escape", "t")
        await pilot.pause()
        assert app.theme == LIGHT
        await pilot.press("b")
        await settle(pilot, app, "Architecture")
        assert isinstance(app.screen, TrialScreen)
        await pilot.press("q")
        await pilot.pause()
        assert not app.is_running

    go(run, script)


def test_the_export_dialog(run: Path) -> None:
    async def script(app, pilot):
        await settle(pilot, app, "made")
        await pilot.press("5", "end", "e")
        screen = await settle(pilot, app, "Export")
        assert isinstance(app.screen, ExportDialog)
        assert "mnas export made:0 --tflite" in screen
        await pilot.press("c")
        await pilot.pause()
        assert app.clipboard.startswith("mnas export made:0 --tflite")
        await pilot.press("escape")

    go(run, script)
    source = RunSource(run)
    source.poll(10)
    train, export = commands(source, 7)  # it has no weights to export
    assert train[:3] == ["mnas", "train", "made:7"] and export[2].endswith("model.safetensors")


def test_running_an_export_shows_what_it_says(run: Path) -> None:
    async def script(app, pilot):
        await settle(pilot, app, "made")
        await pilot.press("5", "end", "e")
        await settle(pilot, app, "Export")
        await pilot.press("r")
        for _ in range(300):
            await pilot.pause(0.1)
            if "ended with exit code" in text(app):
                break
        # The made run's checkpoint is not there, which the command says in its one line.
        assert "mnas: " in text(app) and "✗ ended with exit code" in text(app)

    go(run, script, size=(120, 40))


def test_choosing_a_run(tmp_path: Path) -> None:
    make_run(tmp_path / "finished", trials=8)
    make_run(tmp_path / "half", trials=8, finished=False)
    make_run(tmp_path / "damaged", trials=8)
    (tmp_path / "damaged" / "events.jsonl").write_text("{broken\n")

    async def script(app, pilot):
        screen = await settle(pilot, app, "✗ damaged")
        assert "3 runs in" in screen and "✓ finished   7 trials, 1 failed" in await settle(pilot, app, "✓ finished")
        assert "search   7 trials" in text(app)
        while "finished" not in str(app.screen.query_one("OptionList").highlighted_option.prompt):
            await pilot.press("down")
        await pilot.press("enter")
        assert "mnas finished" in await settle(pilot, app, "1 Overview")
        await pilot.press("o")
        assert "3 runs in" in await settle(pilot, app, "3 runs in")

    go(None, script, size=(100, 20), root=tmp_path)


def test_no_run_at_all(tmp_path: Path) -> None:
    async def script(app, pilot):
        assert "no run in" in await settle(pilot, app, "no run in")
        make_run(tmp_path / "new", trials=4)
        await pilot.press("r")
        assert "1 run in" in await settle(pilot, app, "1 run in")

    go(None, script, root=tmp_path)


def test_a_log_that_grows_is_followed(tmp_path: Path) -> None:
    all_events = events(24, finished=True)
    path = make_run(tmp_path / "growing", trials=4, finished=False)
    log = path / "events.jsonl"
    log.write_text("")

    async def script(app, pilot):
        assert "nothing in the log yet" in await settle(pilot, app, "nothing in the log yet")
        half = lines(all_events)[: len(lines(all_events)) // 2]
        log.write_text(half)  # the last line is cut off in its middle
        assert "phase search" in await settle(pilot, app, "phase search")
        with log.open("a") as file:
            file.write(lines(all_events)[len(half) :])
        assert "finished, 24 trials" in await settle(pilot, app, "finished, 24 trials")

    go(path, script)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ('{"v":1,"tim\n', "is damaged"),
        ('{"v":9,"time":1,"event":"phase"}\n', "log version 9"),
        ('{"v":1,"time":1,"event":"done","trial":999,"reward":1}\n', "does not fit"),
        ('{"v":1,"event":"phase"}\n', "does not fit"),
        ("\0\0\0\n", "is damaged"),
    ],
)
def test_a_damaged_log_says_so_and_shows_what_came_before(run: Path, damage: str, says: str) -> None:
    text_before = lines(events(24, finished=False))
    (run / "events.jsonl").write_text(text_before + damage)
    number = text_before.count("\n") + 1

    async def script(app, pilot):
        screen = await settle(pilot, app, says)
        assert f"line {number}" in screen and says in screen and "best trial" in screen
        (run / "events.jsonl").write_text(text_before)
        await pilot.press("R")
        await settle(pilot, app, "interrupted")
        assert says not in text(app) and "interrupted" in text(app)

    go(run, script, size=(150, 30))


def test_events_of_a_newer_version_are_shown_and_break_nothing(run: Path) -> None:
    with (run / "events.jsonl").open("a") as log:
        log.write(
            json.dumps({"v": 1, "time": 1.79e9, "event": "device_dreams", "device": "host", "of": "sheep"}) + "\n"
        )

    async def script(app, pilot):
        await settle(pilot, app, "made")
        await pilot.press("4")
        assert "device dreams: of sheep" in await settle(pilot, app, "dreams")
        await pilot.press("7")
        assert "device dreams" in await settle(pilot, app, "device dreams")

    go(run, script, size=(110, 40))


@pytest.mark.parametrize("size", [(40, 10), (20, 5), (200, 60)])
def test_every_screen_at_every_size(run: Path, size: tuple[int, int]) -> None:
    async def script(app, pilot):
        await settle(pilot, app, "made")
        for key in "1234567":
            await pilot.press(key)
            await pilot.pause()
        await pilot.press("5", "enter")
        await pilot.pause(0.1)
        assert isinstance(app.screen, TrialScreen)
        await pilot.press("1", "2", "3", "4", "e", "escape", "question_mark", "escape")
        await pilot.pause(0.1)
        await pilot.resize_terminal(100, 30)
        await pilot.press("escape", "1")
        assert "winner: trial" in await settle(pilot, app, "best trial")

    go(run, script, size=size)


def test_at_40x10_the_first_screen_has_what_counts(run: Path) -> None:
    async def script(app, pilot):
        screen = await settle(pilot, app, "winner: trial")
        for said in ("finished, 24 trials", "winner: trial", "✗ failed 3"):
            assert said in screen

    go(run, script, size=(40, 10))


def test_everything_at_once_at_200x60(run: Path) -> None:
    async def script(app, pilot):
        screen = await settle(pilot, app, "2800 MHz")
        for said in ("24 of 24", "◆ front", "mean of the last", "pixel-6", "trial▼", "winner: trial"):
            assert said in screen

    go(run, script, size=(200, 60))
