"""What a long command is doing, how far it is, and how long it will take, on stderr.

A live bar on a terminal; a plain line now and then in a pipe or in CI. NO_COLOR and TERM=dumb are rich's to respect.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mnascli.cli.output import in_words, say
from mnascli.cli.streams import voice
from mnascli.engine.config import Config
from mnascli.runs import Event, EventReader, Overview, Plan, Run, overview

PLAIN_EVERY_S = 10.0
LOOK_EVERY_S = 2.0
ABOUT_DEVICES = {
    "device_lost": "is lost",
    "device_back": "is back",
    "device_set_aside": "is excluded",
    "measuring_paused": "paused",
    "measuring_resumed": "resumed",
}
ALWAYS_SAID = {"phase", "target_set", "failed", "exported", *ABOUT_DEVICES}
TITLES = {
    "target": "measuring the target",
    "sweep": "finding the learning rate",
    "supernet": "training the supernet",
    "search": "searching",
    "finalists": "training the finalists",
    "compare": "comparing with published networks",
    "export": "exporting and measuring the file",
    "validate": "training some candidates in full",
}


class Working:
    """Shows what is being done between `with` and its end. `step` sets the progress; without it only time is shown.

    In a pipe the first line comes after `PLAIN_EVERY_S`, so that a quick command says nothing. `quiet` is for all but
    one of several processes.
    """

    def __init__(self, what: str, every_s: float = PLAIN_EVERY_S, quiet: bool = False) -> None:
        self._what, self._every_s = what, every_s
        self._note, self._done, self._total = "", 0, 0
        self._began = time.monotonic()
        self._quiet = quiet
        self._bar = _bar(quiet)
        self._task = self._bar.add_task(what, total=None, count="", left="")
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
        """`done` of `total` are done."""
        self._done, self._total, self._note = done, total, note
        count, remaining = self._counts()
        description = f"{self._what} {note}".rstrip()
        self._bar.update(
            self._task, completed=done, total=total or None, description=description, count=count, left=remaining
        )

    def note(self, note: str) -> None:
        """What is being done right now."""
        self.step(self._done, self._total, note)

    def say(self, line: str) -> None:
        """A line that stays, above the bar."""
        if self._bar.disable:
            say(line)
        else:
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def line(self) -> str:
        """Where it is, in one plain line."""
        count, remaining = self._counts()
        parts = [f"{time.monotonic() - self._began:6.0f} s", self._what, count, self._note, remaining]
        return "  ".join(part for part in parts if part)

    def _counts(self) -> tuple[str, str]:
        """How much of how much, and the time left; '' if unknown."""
        count = f"{self._done}/{self._total}" if self._total else ""
        if not 0 < self._done < self._total:
            return count, ""
        return count, f"{left((time.monotonic() - self._began) * (self._total / self._done - 1))} left"

    def _say_now_and_then(self) -> None:
        while not self._ended.wait(self._every_s):
            say(self.line())


class SearchProgress:
    """Shows a run's events as they are logged, and between them that it is still running."""

    def __init__(self, config: Config, run: Run, every_s: float = PLAIN_EVERY_S) -> None:
        self._plan = Plan.of(config.model_dump())
        self._path = run.path
        self._view: Overview = overview(EventReader(run.path / "events.jsonl").read())
        self._note, self._every_s = "", every_s
        self._began, self._began_at = time.monotonic(), time.time()
        self._last_event = self._last_line = self._began
        self._lock = threading.Lock()  # events come in one thread, another checks that the run is alive
        self._bar = _bar()
        self._task = self._bar.add_task("", total=None, count="", left="")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_now_and_then, daemon=True)
        run.listeners.append(self.show)

    def __enter__(self) -> Self:
        self._bar.start()
        for device in self._view.state.devices.values():
            if device.state != "ready":  # the log said that before anybody listened
                self._say(f"{device.device} {device.serial} is {device.state}: {device.reason}")
        self._update("")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._bar.stop()

    def show(self, event: Event) -> None:
        """Take in the next event of the run."""
        with self._lock:
            self._view.apply(event)
            self._last_event = time.monotonic()
            if event["event"] == "warned":
                self._say(f"warning: {event['message']}")
                return
            self._note = self._noted(event)
            self._update("")
            due = self._last_event - self._last_line > self._every_s
            if self._bar.disable and (event["event"] in ALWAYS_SAID or due):
                self._say_line("")

    def line(self, sign: str = "") -> str:
        """Where the run is, in one plain line, with what is running now."""
        count, left_s = self._counts()
        parts = [f"{time.monotonic() - self._began:6.0f} s", self._title, count, self._note, sign]
        return "  ".join(part for part in [*parts, f"{left(left_s)} left" if left_s else ""] if part)

    @property
    def _title(self) -> str:
        phase = self._view.state.phase
        return "starting" if phase == "new" else TITLES.get(phase, phase)

    def _counts(self) -> tuple[str, float | None]:
        """How much of how much, '' in a phase that has nothing to count, and the seconds left, as in the monitor."""
        done, total = self._view.progress(self._plan) or (0, None)
        return (f"{done}/{total}" if total else ""), self._view.left_s(self._plan, time.time())

    def _update(self, sign: str) -> None:
        words = "; ".join(part for part in (self._note, sign) if part)
        count, left_s = self._counts()
        done, total = self._view.progress(self._plan) or (0, None)
        # Rich takes None to mean 'unchanged': the previous phase's counts must not stay.
        self._bar.tasks[0].total = total
        description = self._title + (f" ({words})" if words else "")
        left_in_words = f"{left(left_s)} left" if left_s else ""
        self._bar.update(self._task, description=description, completed=done, count=count, left=left_in_words)

    def _say_line(self, sign: str) -> None:
        self._last_line = time.monotonic()
        say(self.line(sign))

    def _look_now_and_then(self) -> None:
        while not self._ended.wait(min(self._every_s, LOOK_EVERY_S)):
            with self._lock:
                sign = self._sign_of_life()
                self._update(sign)
                if self._bar.disable and time.monotonic() - self._last_line >= self._every_s:
                    self._say_line(sign)

    def _sign_of_life(self) -> str:
        """What is happening although no event says so."""
        state, silent_s = self._view.state, time.monotonic() - self._last_event
        if silent_s < self._every_s:
            return ""
        if state.phase == "search":
            begun = [trial.began for trial in state.batch if trial.state == "running" and trial.began is not None]
            if begun:
                return f"{len(begun)} in training, the longest for {left(time.time() - min(begun))}"
        else:
            from mnascli.engine.signs import under_way

            if trainings := under_way(self._path, state, self._began_at):
                return ", ".join(trainings)
        return f"for {left(silent_s)}"

    def _say(self, line: str) -> None:
        """A line that stays, above the bar."""
        self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _noted(self, event: dict[str, Any]) -> str:
        if event["event"] == "failed":
            return f"trial {event['trial']} failed: {event['reason']}"
        if event["event"] in ABOUT_DEVICES:
            names = dict.fromkeys(event[key] for key in ("device", "serial") if key in event)  # the host's are the same
            who = " ".join(names)
            return f"{who} {ABOUT_DEVICES[event['event']]}" + (f": {event['reason']}" if "reason" in event else "")
        if event["event"] == "target_set":
            return f"{in_words(event['target_ms'])}: {event['why']}"
        if event["event"] == "latency_modelled":
            return f"latency model of {event['device']}: median error {event['median']:.1%}, tau {event['tau']:.2f}"
        if event["event"] == "swept":
            return f"learning rate {event['learning_rate']:g}, batch norm momentum {event['batch_norm_momentum']:g}"
        if event["event"] == "promoted" and event["trials"]:
            return f"the best {len(event['trials'])} of the batch are trained on rung {event['rung']}"
        if event["event"] == "supernet_epoch":
            return f"loss {event['loss']:.3f}"
        best = self._view.best if self._view.state.phase == "search" else None
        if best is None or best.accuracy is None:
            return ""
        return f"best {best.accuracy:.3f} at {in_words(best.latency_ms, best.verdict)}"


def left(seconds: float) -> str:
    """A remaining time, as roughly as it is known."""
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def _bar(quiet: bool = False) -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[count]}"))
    times = (TimeElapsedColumn(), TextColumn("{task.fields[left]}"))
    console = Console(file=voice(), stderr=True)
    return Progress(*columns, *times, console=console, disable=quiet or not voice().isatty(), transient=True)
