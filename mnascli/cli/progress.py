"""What a search is doing, on stderr: a live bar on a terminal, a plain line now and then in a pipe or CI."""

from __future__ import annotations

import sys
import time
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mnascli.cli.output import say
from mnascli.engine.config import Config
from mnascli.runs import Event, RunState

PLAIN_EVERY_S = 10.0
ABOUT_DEVICES = {
    "device_lost": "went away",
    "device_back": "is back",
    "device_set_aside": "is set aside",
    "measuring_paused": "paused",
    "measuring_resumed": "goes on",
}
ALWAYS_SAID = {"phase", "target_set", "failed", "exported", *ABOUT_DEVICES}
TITLES = {
    "target": "measuring the target",
    "search": "searching",
    "finalists": "training the finalists",
    "compare": "comparing with published networks",
    "export": "exporting and measuring the file",
    "validate": "training some candidates in full",
}


class SearchProgress:
    """Shows a run's events as they are logged; knows nothing but the log and the configuration."""

    def __init__(self, config: Config, state: RunState) -> None:
        self._config = config
        self._state = state
        self._console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(
            *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self._console, disable=not sys.stderr.isatty()
        )
        self._task = self._bar.add_task("starting", total=None)
        self._began = self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, event: Event) -> None:
        """Take in the next event of the run."""
        if event["event"] == "warned":
            self._bar.console.print(f"warning: {event['message']}", highlight=False, soft_wrap=True)
            return
        total = self._total()
        done = self._done()
        title = TITLES.get(self._state.phase, self._state.phase)
        note = self._note(event)
        self._bar.update(self._task, description=title + (f" ({note})" if note else ""), total=total, completed=done)
        if not self._bar.disable:
            return
        now = time.monotonic()
        if event["event"] in ALWAYS_SAID or now - self._last_line > PLAIN_EVERY_S:
            self._last_line = now
            parts = [f"{now - self._began:6.0f} s", title, f"{done}/{total}" if total else "", note]
            say("  ".join(part for part in parts if part))

    def _total(self) -> int | None:
        final = self._config.final
        if self._state.phase == "search":
            return self._config.trials
        if self._state.phase in ("finalists", "compare"):
            return final.finalists + final.seeds * (1 + len(final.compare)) - 1
        return None

    def _done(self) -> int:
        if self._state.phase == "search":
            return sum(trial.finished for trial in self._state.trials.values())
        return len(self._state.long_runs)

    def _note(self, event: dict[str, Any]) -> str:
        if event["event"] == "failed":
            return f"trial {event['trial']} failed: {event['reason']}"
        if event["event"] in ABOUT_DEVICES:
            who = " ".join(event[key] for key in ("device", "serial") if key in event)
            return f"{who} {ABOUT_DEVICES[event['event']]}" + (f": {event['reason']}" if "reason" in event else "")
        if event["event"] == "target_set":
            return ", ".join(f"{device} {ms:.3f} ms" for device, ms in event["target_ms"].items()) + f": {event['why']}"
        best = self._state.best() if self._state.phase == "search" else None
        if best is None or best.accuracy is None:
            return ""
        latency = ", ".join(f"{ms:.3f} ms" for ms in best.latency_ms.values())
        return f"best {best.accuracy:.3f} at {latency}"
