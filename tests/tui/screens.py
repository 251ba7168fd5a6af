"""The monitor under a script, and what stands on its screen, as text."""

import asyncio
from pathlib import Path

from textual.app import App
from textual.pilot import Pilot

from mnascli.tui.app import MonitorApp


def text(app: App[None]) -> str:
    """The screen that is on top, line by line."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


async def settle(pilot: Pilot[None], app: MonitorApp, until: str = "") -> str:
    """Wait until `until` is on the screen (5 s at most), and give the screen."""
    for _ in range(50):
        await pilot.pause(0.1)
        if until in text(app):
            break
    return text(app)


def go(run: Path | None, script, size: tuple[int, int] = (80, 24), root: Path | None = None) -> None:
    """Run the monitor without a terminal, and `script(app, pilot)` on it."""

    async def main() -> None:
        app = MonitorApp(run, root or (run.parent if run else Path("runs")))
        async with app.run_test(size=size) as pilot:
            await script(app, pilot)

    asyncio.run(main())
