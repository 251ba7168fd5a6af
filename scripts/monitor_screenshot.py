"""Draws the monitor of a run into an SVG, for the documentation.

    python scripts/monitor_screenshot.py RUN docs/images/monitor.svg
    python scripts/monitor_screenshot.py RUN trial.svg --keys b --size 120x40

`--keys` are pressed first, by Textual's names, apart by commas.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from mnascli.tui.app import MonitorApp
from mnascli.tui.panel import Panel
from mnascli.tui.run_screen import RunScreen


async def draw(run: Path, file: Path, size: tuple[int, int], keys: list[str]) -> None:
    app = MonitorApp(run, run.parent)
    async with app.run_test(size=size) as pilot:
        screen = app.screen
        assert isinstance(screen, RunScreen)
        while screen.source.poll(1.0):  # a run that is being written goes on growing; this takes what there is
            await pilot.pause()
        if keys:
            await pilot.press(*keys)
        await pilot.pause(1.0)
        for panel in app.screen.query(Panel):
            panel.redraw(screen.source)
        await pilot.pause(0.5)
        file.write_text(app.export_screenshot())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--size", default="150x46")
    parser.add_argument("--keys", default="")
    arguments = parser.parse_args()
    if not (arguments.run / "events.jsonl").is_file():
        parser.error(f"{arguments.run}: not a run directory")
    width, height = map(int, arguments.size.split("x"))
    keys = [key for key in arguments.keys.split(",") if key]
    asyncio.run(draw(arguments.run, arguments.file, (width, height), keys))
    print(arguments.file)


if __name__ == "__main__":
    main()
