"""The accuracy-latency plane of one device: trials, the Pareto front, the target, the reference models."""

from __future__ import annotations

import statistics
from string import ascii_uppercase
from typing import NamedTuple

import numpy as np
from rich.text import Text

from mnascli.runs import RunState
from mnascli.tui import words
from mnascli.tui.plot import GrowingArray, Plot
from mnascli.tui.plot_panel import PlotPanel
from mnascli.tui.source import RunSource


class Reference(NamedTuple):
    """A model that the run is compared with; `accuracy` is None if only its latency is known."""

    model: str
    latency_ms: float
    accuracy: float | None


class Plane(PlotPanel):
    def __init__(self) -> None:
        super().__init__()
        self.device_index = 0
        self._points = GrowingArray(3)

    def next_device(self) -> None:
        self.device_index += 1

    def key(self, source: RunSource) -> tuple[int, ...]:
        return (*super().key(source), self.device_index)

    def draw(self, source: RunSource) -> None:
        view = source.overview
        plot = self.query_one(Plot)
        plot.display = any(view.points.values())
        if not plot.display:
            self._caption("no trial is done yet")
            return
        device = list(view.devices)[self.device_index % len(view.devices)]
        array = self._points.of(view.points.get(device, []))
        self._x, self._y, self._trials = array[:, 0], array[:, 1], array[:, 2].astype(np.int64)
        plot.clear()
        plot.cloud(self._x, self._y, "grey62")
        front = view.fronts.get(device, [])
        narrow = self.size.width <= 60
        gap = " " if narrow else "  "
        legend = Text.assemble(("•", "grey62"), f" trial{gap}", ("◆", "bold green"), f" front{gap}")
        plot.marks([one.latency_ms for one in front], [one.accuracy for one in front], "◆", "bold green")
        target_ms = view.state.targets_ms.get(device)
        if target_ms is not None:
            plot.add_v_line(target_ms, line_style="red")
            legend.append("│", "red").append(f"{'' if narrow else ' target'} {words.milliseconds(target_ms)}{gap}")
        models = references(view.state, device)
        lowest = float(self._y.min()) if len(self._y) else 0.0
        heights = [lowest if one.accuracy is None else one.accuracy for one in models]
        targets = [] if target_ms is None else [target_ms]
        if len(self._y):
            plot.room(np.append(self._x, [*(one.latency_ms for one in models), *targets]), np.append(self._y, heights))
        for letter, one, y in zip(ascii_uppercase, models, heights, strict=False):
            plot.marks([one.latency_ms], [y], letter, "bold yellow")
            accuracy = "latency alone" if one.accuracy is None else f"{one.accuracy:.3f} on test"
            said = f" {one.model}{gap}" if narrow else f" {one.model} ({accuracy}){gap}"
            legend.append(letter, "bold yellow").append(said)
        many = f" (device {self.device_index % len(view.devices) + 1} of {len(view.devices)}: v)"
        axes = f"accuracy ↑ ms → {device}{many if len(view.devices) > 1 else ''}{gap} "
        self._caption(Text(axes, style="bold") + legend)


def references(state: RunState, device: str) -> list[Reference]:
    """The reference models with a latency on this device; accuracies are means over seeds, after training in full."""
    found = {}
    for model, values in state.references.items():
        if device in values["latency_ms"]:
            found[model] = Reference(model, values["latency_ms"][device], None)
    for model, values in state.compared.items():
        if values["trial"] is not None:  # the run's own winner, which is shown as a trial
            continue
        tests = [run["test"] for (name, _), run in state.long_runs.items() if name == model]
        if device in values["latency_ms"]:
            accuracy = statistics.fmean(tests) if tests else None
            found[model] = Reference(model, values["latency_ms"][device], accuracy)
    return list(found.values())
