"""How far the run is: phases, a bar, rate, time left, failures, and the best so far."""

from __future__ import annotations

import time

from rich.text import Text
from textual.app import RenderResult

from mnascli.runs import mark
from mnascli.tui import words
from mnascli.tui.panel import Panel
from mnascli.tui.source import RunSource

PHASES = ("target", "search", "finalists", "compare", "export")


NARROW = 60  # cells: below this every fact has its own line


class ProgressPanel(Panel):
    DEFAULT_CSS = "ProgressPanel { height: auto; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }"

    def __init__(self) -> None:
        super().__init__()
        self._text = Text("\n" * 4)

    def render(self) -> RenderResult:
        return self._text

    def key(self, source: RunSource) -> tuple[int, ...]:
        return (*super().key(source), int(time.time()))

    def draw(self, source: RunSource) -> None:
        width = max(10, self.size.width)
        lines = [progress(source, width), phases(source), pace(source), best(source), failures(source)]
        if width < NARROW:
            lines = [progress(source, width), *best(source).split(" at "), failures(source), *pace(source).split("   ")]
        text = Text("\n").join(lines)
        grew = text.plain.count("\n") != self._text.plain.count("\n")
        self._text = text
        self.refresh(layout=grew)


def phases(source: RunSource) -> Text:
    state = source.overview.state
    at = PHASES.index(state.phase) if state.phase in PHASES else -1
    parts = []
    for index, name in enumerate(PHASES):
        if index < at or state.is_finished:
            parts.append(Text(f"✓ {name}", style="green"))
        elif index == at:
            parts.append(Text(f"▶ {name}", style="bold reverse"))
        else:
            parts.append(Text(f"· {name}", style="dim"))
    if at < 0 and state.phase != "new" and not state.is_finished:  # a phase begun by a command after the search
        parts.append(Text(f"▶ {state.phase}", style="bold reverse"))
    return Text("  ").join(parts)


def progress(source: RunSource, width: int) -> Text:
    view = source.overview
    counted = view.progress(source.plan) if source.plan else None
    if view.state.is_finished:
        return Text(f"{words.bar(1.0, max(5, width - 30))} finished, {view.finished} trials")
    if counted is None:
        return Text(f"{view.finished} trials finished")
    done, total = counted
    label = f" {done}/{total} {done / total:4.0%}" if total else ""
    return Text(words.bar(done / total if total else 0.0, max(5, width - len(label))) + label)


def pace(source: RunSource) -> Text:
    view = source.overview
    state = view.state
    now = time.time() if source.is_written() and not state.is_finished and not state.stopped else None
    parts = []
    if source.plan and not state.is_finished and not state.stopped:
        left_s = view.left_s(source.plan, now)
        parts.append(f"left in this phase {words.duration(left_s)}")
    parts.append(f"rate {words.rate(view.per_hour())}")
    if state.began is not None and state.last_time is not None:
        parts.append(f"spent {words.duration((now or state.last_time) - state.began)}")
    targets = ", ".join(f"{device} {words.milliseconds(ms)}" for device, ms in state.targets_ms.items())
    parts.append(f"target {targets or 'not set yet'}")
    return Text("   ".join(parts))


def best(source: RunSource) -> Text:
    trial, state = source.overview.best, source.overview.state
    if trial is None:
        return Text("best -")
    latency = ", ".join(
        mark(trial.verdict.get(device)) + words.milliseconds(ms) for device, ms in trial.latency_ms.items()
    )
    meets = "meets the target" if state.meets_targets(trial.latency_ms) else "above the target"
    what = "best trial" if state.chosen is None else "winner: trial"
    text = f"{what} {trial.trial}: accuracy {words.number(trial.accuracy)} at {latency} ({meets})"
    return Text(f"{text}, reward {words.number(trial.reward)}", style="bold")


def failures(source: RunSource) -> Text:
    view = source.overview
    hopeless = f"   ∅ hopeless {view.hopeless} (too slow to be trained)" if view.hopeless else ""
    if not view.failed:
        return Text(f"failed 0{hopeless}", style="dim")
    kinds = ", ".join(f"{kind} {count}" for kind, count in view.failures.most_common())
    return Text(f"✗ failed {view.failed} of {view.finished} ({kinds}){hopeless}", style="red")
