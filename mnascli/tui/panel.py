"""What all panels share: a panel shows a run, and never takes more than its share of a core to do so."""

from __future__ import annotations

import time

from textual.widget import Widget

from mnascli.tui.source import RunSource

REST = 20  # a panel rests this many times as long as its last drawing took: a twentieth of a core at most


class Panel(Widget):
    """A part of the screen that shows a run. Panels fill in `draw`; the screen calls `show` ten times a second."""

    DEFAULT_CSS = "Panel { height: 1fr; }"
    HELP = ""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._drawn: tuple[int, ...] | None = None
        self._next = 0.0

    def show(self, source: RunSource) -> None:
        """Draw the run if it has changed, the panel can be seen, and it has rested enough."""
        now = time.monotonic()
        key = self.key(source)
        if key == self._drawn or now < self._next or not self.is_on_screen:
            return
        began = time.thread_time()
        self.draw(source)
        self._drawn = key
        self._next = now + REST * (time.thread_time() - began + self.cost_s())

    def redraw(self, source: RunSource) -> None:
        """Draw now, whatever the run did."""
        self._drawn, self._next = None, 0.0
        self.show(source)

    def cost_s(self) -> float:
        """Seconds of processor time that its last drawing took besides `draw`, when the screen was composed."""
        return 0.0

    @property
    def is_on_screen(self) -> bool:
        return bool(self.size) and self.display and self.is_attached and self.region.area > 0

    def key(self, source: RunSource) -> tuple[int, ...]:
        """What the drawing depends on."""
        return (id(source.overview), source.version, *self.size)

    def draw(self, source: RunSource) -> None:
        raise NotImplementedError
