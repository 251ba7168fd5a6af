"""What a long command is doing, how far it is, and how long it will take, on stderr.

A live bar on a terminal; a plain line now and then in a pipe or in CI. NO_COLOR and TERM=dumb are rich's to respect.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mnascli.cli.output import in_words, say
from mnascli.engine.config import Config
from mnascli.runs import Event, EventReader, Overview, Plan, Run, overview

PLAIN_EVERY_S = 10.0
ABOUT_DEVICES = {
    "device_lost": "is lost",
    "device_back": "is back",
    "device_set_aside": "is set aside",
    "measuring_paused": "paused",
    "measuring_resumed": "goes on",
}
ALWAYS_SAID = {"phase", "target_set", "failed", "exported", *ABOUT_DEVICES}
TITLES = {
    "target": "measuring the target",
    "supernet": "training the supernet",
    "search": "searching",
    "finalists": "training the finalists",
    "compare": "comparing with published networks",
    "export": "exporting and measuring the file",
    "validate": "training some candidates in full",
}


class Working:
    """Says what goes on between `with` and its end. `step` tells how far it is; without it, time alone passes by.

    In a pipe the first line comes after `PLAIN_EVERY_S`, so that a command that is quick says nothing. `quiet` is for
    all but one of several processes.
    """

    def __init__(self, what: str, every_s: float = PLAIN_EVERY_S, quiet: bool = False) -> None:
        self._what, self._every_s = what, every_s
        self._note, self._done, self._total = "", 0, 0
        self._began = time.monotonic()
        self._quiet = quiet
        self._bar = _bar(quiet)
        self._task = self._bar.add_task(what, total=None)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._say_now_and_then, daemon=True)

    def __enter__(self) -> Self:
        self._bar.start()
        if self._bar.disable and not self._quiet:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._bar.stop()
        if self._thread.is_alive():
            self._thread.join()

    def step(self, done: int, total: int, note: str = "") -> None:
        """So many of so many are done."""
        self._done, self._total, self._note = done, total, note
        self._bar.update(self._task, completed=done, total=total or None, description=f"{self._what} {note}".rstrip())

    def note(self, note: str) -> None:
        """What is being done just now."""
        self.step(self._done, self._total, note)

    def say(self, line: str) -> None:
        """A line that stays, above the bar."""
        if self._bar.disable:
            say(line)
        else:
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def line(self) -> str:
        """Where it is, in one plain line."""
        spent = time.monotonic() - self._began
        parts = [f"{spent:6.0f} s", self._what, f"{self._done}/{self._total}" if self._total else "", self._note]
        if 0 < self._done < self._total:
            parts.append(f"{left(spent * (self._total / self._done - 1))} left")
        return "  ".join(part for part in parts if part)

    def _say_now_and_then(self) -> None:
        while not self._ended.wait(self._every_s):
            say(self.line())


class SearchProgress:
    """Shows a run's events as they are logged; knows nothing but the log and the configuration."""

    def __init__(self, config: Config, run: Run) -> None:
        self._plan = Plan.of(config.model_dump())
        self._view: Overview = overview(EventReader(run.path / "events.jsonl").read())
        self._bar = _bar()
        self._task = self._bar.add_task("starting", total=None)
        self._began = self._last_line = time.monotonic()
        run.listeners.append(self.show)

    def __enter__(self) -> Self:
        self._bar.start()
        for device in self._view.state.devices.values():
            if device.state != "ready":  # that was said in the log before anybody listened
                self._say(f"{device.device} {device.serial} is {device.state}: {device.reason}")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, event: Event) -> None:
        """Take in the next event of the run."""
        self._view.apply(event)
        if event["event"] == "warned":
            self._say(f"warning: {event['message']}")
            return
        phase = self._view.state.phase
        title = TITLES.get(phase, phase)
        note = self._note(event)
        done, total = self._view.progress(self._plan) or (0, None)
        description = title + (f" ({note})" if note else "")
        self._bar.update(self._task, description=description, total=total, completed=done)
        if not self._bar.disable:
            return
        now = time.monotonic()
        if event["event"] in ALWAYS_SAID or now - self._last_line > PLAIN_EVERY_S:
            self._last_line = now
            left_s = self._view.left_s(self._plan)
            parts = [f"{now - self._began:6.0f} s", title, f"{done}/{total}" if total else "", note]
            say("  ".join(part for part in [*parts, f"{left(left_s)} left" if left_s else ""] if part))

    def _say(self, line: str) -> None:
        """A line that stays, above the bar."""
        self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _note(self, event: dict[str, Any]) -> str:
        if event["event"] == "failed":
            return f"trial {event['trial']} failed: {event['reason']}"
        if event["event"] in ABOUT_DEVICES:
            names = dict.fromkeys(event[key] for key in ("device", "serial") if key in event)  # the host's are alike
            who = " ".join(names)
            return f"{who} {ABOUT_DEVICES[event['event']]}" + (f": {event['reason']}" if "reason" in event else "")
        if event["event"] == "target_set":
            return f"{in_words(event['target_ms'])}: {event['why']}"
        if event["event"] == "latency_modelled":
            return f"latency model of {event['device']}: median error {event['median']:.1%}, tau {event['tau']:.2f}"
        if event["event"] == "supernet_epoch":
            return f"loss {event['loss']:.3f}"
        best = self._view.best if self._view.state.phase == "search" else None
        if best is None or best.accuracy is None:
            return ""
        return f"best {best.accuracy:.3f} at {in_words(best.latency_ms)}"


def left(seconds: float) -> str:
    """A time that is still to pass, as roughly as it is known."""
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def _bar(quiet: bool = False) -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, *times, console=console, disable=quiet or not sys.stderr.isatty(), transient=True)
