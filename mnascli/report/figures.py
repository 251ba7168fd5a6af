"""The interactive figures of the page, as plotly figures in plain dicts: {"data": [...], "layout": {...}}.

What is said of a trial when it is pointed at stands once in the page, in its table of trials, and not in each figure: a
trace that shows trials carries their numbers as `customdata`, and templates/report.js adds the text.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from mnascli.report.content import Content
from mnascli.runs import Trial
from mnascli.runs.views import MEAN_OVER
from mnascli.runs.views import drift as drift_of

# Okabe and Ito's colours: told apart also by those who do not see all of them, and each trace has a symbol of its own.
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#8A8F98"
DEVICE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED)
MOST_SAMPLES = 300  # of a network's raw samples that the figure of distributions carries

Figure = dict[str, Any]


def figures(content: Content) -> dict[str, Figure]:
    """Every figure that this run has something for, by the id of its place in the page."""
    found: dict[str, Figure | None] = {}
    for index, device in enumerate(content.devices):
        found[f"plane-{index}"] = plane(content, device)
    found["rewards"] = rewards(content)
    found["entropy"] = entropy(content)
    found["distributions"] = distributions(content)
    found["drift"] = drift(content)
    found["proxy"] = proxy(content)
    return {name: figure for name, figure in found.items() if figure is not None}


def plane(content: Content, device: str) -> Figure | None:
    """Accuracy over latency on one device: all trials, the front, the target, and the networks trained in full."""
    state = content.state
    trials = [trial for trial in state.done() if trial.accuracy is not None and device in trial.latency_ms]
    if not trials:
        return None
    front = content.front(device)
    numbers = {trial.trial for trial in front}
    beaten = [trial for trial in trials if trial.trial not in numbers]
    data = [
        _of_trials(beaten, device, "trials", {"color": GREY, "size": 7, "opacity": 0.65}),
        _of_trials(front, device, "Pareto front", {"color": BLUE, "size": 9}, line=True),
    ]
    winner = content.winner()
    if winner is not None and winner.accuracy is not None and device in winner.latency_ms:
        data.append(_of_trials([winner], device, "found", {"color": RED, "size": 16, "symbol": "star"}))
    full = _trained_in_full(content, device)
    if full:
        data.append(full)
    layout = _layout(f"latency on {device} (ms)", "accuracy (validation)")
    target = state.targets_ms.get(device)
    if target is not None:
        layout |= _line_at(target, f"target {target:.3g} ms")
    return {"data": data, "layout": layout}


def rewards(content: Content) -> Figure | None:
    """Rewards and their moving mean, in the order in which the results came."""
    if not content.view.rewards:
        return None
    trials, values = zip(*content.view.rewards, strict=True)
    order = list(range(1, len(trials) + 1))
    data: list[Figure] = [
        {
            "name": "reward",
            "mode": "markers",
            "x": order,
            "y": _rounded(values),
            "customdata": trials,
            "marker": {"color": GREY, "size": 6, "opacity": 0.65},
        },
        {
            "name": f"mean of {MEAN_OVER} trials",
            "mode": "lines",
            "x": order,
            "y": _rounded(content.view.means),
            "line": {"color": BLUE, "width": 2.5},
            "hoverinfo": "skip",
        },
    ]
    return {"data": data, "layout": _layout("results, in the order they came", "reward")}


def entropy(content: Content) -> Figure | None:
    """How open the searcher's decisions still were at each step; None for one that learns no probabilities."""
    if not content.view.entropies:
        return None
    steps, values = zip(*content.view.entropies, strict=True)
    trace = {"mode": "lines", "x": steps, "y": _rounded(values), "line": {"color": BLUE, "width": 2.5}}
    layout = _layout("step of the search", "entropy of the decisions") | {"height": 260}
    layout["yaxis"]["range"] = [0, 1.02]
    return {"data": [trace], "layout": layout}


def distributions(content: Content) -> Figure | None:
    """Raw runs of the found network and of the front, one box each, the fastest first; by device."""
    samples = content.samples()
    if not samples:
        return None
    data = [
        {
            "type": "box",
            "name": one.name if len(content.devices) == 1 else f"{one.name}, {one.device}",
            "x": _rounded(_thinned(one.samples_ms, MOST_SAMPLES)),
            "boxpoints": "outliers",
            "marker": {"color": RED if one.name.endswith("(found)") else _colour(content, one.device), "size": 3},
            "line": {"width": 1.5},
            "showlegend": False,
        }
        for one in samples
    ]
    layout = _layout("one run (ms, logarithmic)", "") | {"height": 140 + 30 * len(data)}
    layout["xaxis"] |= {"type": "log"}  # one run in a thousand takes a hundred times as long
    layout["yaxis"] |= {"automargin": True, "type": "category"}
    return {"data": data, "layout": layout}


def drift(content: Content) -> Figure | None:
    """See `runs.drift`, of each trial."""
    data = []
    for device in content.devices:
        known = [one for one in content.measurements if one.device == device and one.reference_ms]
        if known:
            fastest = min(one.reference_ms or math.inf for one in known)
            numbers = [one.trial for one in known]
            percent = [100 * (drift_of(one.reference_ms, fastest) or 0.0) for one in known]
            data.append(
                {"name": device, "mode": "lines+markers", "x": numbers, "y": [round(one, 2) for one in percent]}
                | {"line": {"color": _colour(content, device), "width": 1}, "marker": {"size": 4}}
            )
    return {"data": data, "layout": _layout("trial", "reference model slower by (%)")} if data else None


def proxy(content: Content) -> Figure | None:
    """Accuracy after the short training and after the long one, of the trials that had both."""
    pairs = content.proxy_and_full()
    if not pairs:
        return None
    numbers = [pair.trial for pair in pairs]
    trace = {
        "name": "trials trained in full",
        "mode": "markers+text",
        "x": _rounded(pair.proxy for pair in pairs),
        "y": _rounded(pair.full for pair in pairs),
        "text": [str(number) for number in numbers],
        "textposition": "top center",
        "customdata": numbers,
        "marker": {"color": BLUE, "size": 10},
    }
    return {"data": [trace], "layout": _layout("accuracy in the search", "accuracy trained in full") | {"height": 380}}


def _of_trials(trials: Sequence[Trial], device: str, name: str, marker: Figure, line: bool = False) -> Figure:
    trace: Figure = {
        "name": name,
        "mode": "lines+markers" if line else "markers",
        "x": _rounded(trial.latency_ms[device] for trial in trials),
        "y": _rounded(trial.accuracy or 0.0 for trial in trials),
        "customdata": [trial.trial for trial in trials],
        "marker": marker,
    }
    return trace | ({"line": {"color": marker["color"], "width": 1.5, "shape": "hv"}} if line else {})


def _trained_in_full(content: Content, device: str) -> Figure | None:
    """Validation accuracy (mean over seeds) of what was trained in full and measured together at the end."""
    rows = []
    for row in content.state.compared.values():
        runs = [run["validation"] for (model, _), run in content.state.long_runs.items() if model == row["model"]]
        if runs and device in row["latency_ms"]:
            rows.append((row["latency_ms"][device], statistics.fmean(runs), row["model"]))
    if not rows:
        return None
    return {
        "name": "trained in full",
        "mode": "markers+text",
        "x": _rounded(row[0] for row in rows),
        "y": _rounded(row[1] for row in rows),
        "text": [plain(row[2]) for row in rows],
        "textposition": "top center",
        "hovertemplate": "%{text}, trained in full<br>%{y:.4f} at %{x:.4g} ms<extra></extra>",
        "marker": {"color": ORANGE, "size": 12, "symbol": "diamond"},
    }


def plain(text: object) -> str:
    """Text for plotly, which reads some HTML in it, with nothing in it to read."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _layout(x: str, y: str) -> Figure:
    return {"xaxis": {"title": {"text": plain(x)}}, "yaxis": {"title": {"text": plain(y)}}}


def _line_at(x: float, text: str) -> Figure:
    shape = {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper"}
    label = {"x": x, "y": 0.04, "yref": "paper", "text": text, "showarrow": False, "xanchor": "left"}
    return {"shapes": [shape | {"line": {"color": RED, "width": 1.5, "dash": "dash"}}], "annotations": [label]}


def _colour(content: Content, device: str) -> str:
    return DEVICE_COLOURS[content.devices.index(device) % len(DEVICE_COLOURS)]


def _thinned(values: Sequence[float], most: int) -> list[float]:
    """At most `most` of sorted values, evenly by rank, both ends among them: quartiles and extremes stay."""
    ordered = sorted(values)
    if len(ordered) <= most:
        return ordered
    return [ordered[round(n * (len(ordered) - 1) / (most - 1))] for n in range(most)]


def _rounded(values: Iterable[float]) -> list[float]:
    """Five digits: what a figure can show, in a third of the bytes."""
    return [float(f"{value:.5g}") for value in values]
