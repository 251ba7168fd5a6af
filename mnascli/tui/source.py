"""One run as the monitor sees it: its log, followed as it grows, with its configuration and who writes it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mnascli.runs import Event, EventReader, Overview, Plan, RunError, is_written, standing
from mnascli.runs.summary import summarize

LOG = "events.jsonl"
WORDS = {
    "finished": "✓ finished",
    "stopped": "✗ stopped",
    "new": "nothing in the log yet",
    "running": "▶ running",
    "interrupted": "‖ interrupted",
    "unknown": "on another machine",
}
CHECK_EVERY = 64  # events between two checks of the clock


class RunSource:
    """Follows a run. `poll` reads what is new; everything else must be read between two polls.

    `problem` is a line that says why the log cannot be followed any further: what came before it is still valid.
    `version` grows with everything that `poll` reads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reload()

    def reload(self) -> None:
        """Start again at the beginning of the log."""
        self.overview = Overview()
        self.problem = ""
        self.version = 0
        self.plan, self.config = _read_config(self.path / "config.yaml")
        self._reader = EventReader(self.path / LOG)
        self._events: Iterator[Event] | None = None

    @property
    def name(self) -> str:
        return self.path.name

    def poll(self, budget_s: float) -> bool:
        """Read new events for at most about `budget_s` seconds of processor time; returns whether there were any."""
        if self.problem:
            return False
        before, deadline = self._reader.line, time.thread_time() + budget_s
        try:
            if self._was_cut():
                self.reload()
            if self._events is None:
                self._events = self._reader.read()
            for count, event in enumerate(self._events):
                self.overview.apply(event)
                if count % CHECK_EVERY == CHECK_EVERY - 1 and time.thread_time() > deadline:
                    break
            else:
                self._events = None
        except RunError as error:
            self.problem = str(error)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.problem = (
                f"{self.path / LOG}: line {self._reader.line} does not fit what comes before it ({error!r}); "
                "what came before it is shown"
            )
        changed = self._reader.line != before or bool(self.problem)
        self.version += changed
        return changed

    @property
    def is_reading(self) -> bool:
        """Whether there is more in the log than the last poll had time for."""
        return self._events is not None and not self.problem

    @property
    def share_read(self) -> float:
        """How much of the log has been read, from 0 to 1."""
        size = self._size()
        return min(1.0, self._reader.offset / size) if size else 1.0

    def is_written(self) -> bool | None:
        """Whether the run is being written and not finished; None if that is unknown (another machine's)."""
        written = is_written(self.path)
        return written and not self.overview.state.is_finished

    @property
    def word(self) -> str:
        """What state the run is in, see `mnascli.runs.standing`."""
        return standing(self.path, self.overview.state)

    def to_json(self) -> dict[str, Any]:
        """The state of the run, JSON-ready: what `mnas search --json` ends with, and its progress. Reads the whole log.

        Raises RunError for a log that cannot be read to its end.
        """
        while self.poll(1.0):
            pass
        if self.problem:
            raise RunError(self.problem)
        view, now = self.overview, time.time() if self.is_written() else None
        done, of = (view.progress(self.plan) if self.plan else None) or (None, None)
        devices = [
            {"device": name, "measured": one.measured, "unstable": one.unstable, "waiting": view.waiting(name)}
            for name, one in view.devices.items()
        ]
        return {
            **summarize(self.path, view.state),
            "state": self.word,
            "phase": view.state.phase,
            "progress": {"done": done, "of": of},
            "per_hour": view.per_hour(),
            "left_s": view.left_s(self.plan, now) if self.plan else None,
            "last_event": view.state.last_time,
            "devices": devices,
            "paused": view.state.paused,
        }

    def _was_cut(self) -> bool:
        return self._events is None and 0 < self._size() < self._reader.offset

    def _size(self) -> int:
        try:
            return (self.path / LOG).stat().st_size
        except OSError:
            return 0


def _read_config(file: Path) -> tuple[Plan | None, dict[str, Any]]:
    """The plan in a run's configuration, and the configuration; nothing if it cannot be read."""
    try:
        config = yaml.safe_load(file.read_text())
        return Plan.of(config), config
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return None, {}
