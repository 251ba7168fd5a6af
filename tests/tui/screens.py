"""What stands on the screen, as text."""

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
