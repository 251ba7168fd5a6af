"""Pictures of the screens; after a change that is wanted: `pytest tests/tui/test_snapshots.py --snapshot-update`."""

from pathlib import Path

import pytest

from mnascli.tui.app import MonitorApp
from mnascli.tui.panel import Panel
from mnascli.tui.run_screen import RunScreen


@pytest.mark.parametrize(
    ("keys", "size"),
    [("1", (80, 24)), ("4", (80, 24)), ("5", (80, 24)), ("5 enter", (80, 24)), ("1", (200, 60)), ("1", (40, 10))],
    ids=["overview", "devices", "trials", "trial", "wide", "small"],
)
def test_screens_look_as_they_did(run: Path, snap_compare, keys: str, size: tuple[int, int]) -> None:
    async def prepare(pilot):
        screen = pilot.app.screen
        assert isinstance(screen, RunScreen)
        while screen.source.poll(1.0):
            await pilot.pause()
        for key in keys.split():
            for _ in range(2):  # the first lays panels out that become visible with it
                await pilot.pause()
                for panel in pilot.app.screen.query(Panel):
                    panel.redraw(screen.source)
            await pilot.press(key)
        for _ in range(3):
            await pilot.pause(0.1)
            for panel in pilot.app.screen.query(Panel):
                panel.redraw(screen.source)
        await pilot.pause(0.1)

    assert snap_compare(MonitorApp(run, run.parent), terminal_size=size, run_before=prepare)
