"""The interactive figures of the page, as plotly figures in plain dicts: {"data": [...], "layout": {...}}.

The text shown when a trial is pointed at is in the page once, in its table of trials, and not in each figure: a
trace that shows trials carries their numbers as `customdata`, and templates/report.js adds the text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from mnascli.report.content import Content
from mnascli.report.words import ms, share
from mnascli.runs import Trial
from mnascli.runs.views import MEAN_OVER
from mnascli.runs.views import drift as drift_of

# Okabe and Ito's colours: distinguishable by the colour-blind too, and each trace has a symbol of its own.
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#8A8F98"
DEVICE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED)
SYMBOLS = ("diamond", "square", "triangle-up", "pentagon", "hexagon", "cross", "x", "triangle-down")
ON_VALIDATION = "accuracy (validation)"
SAID_OF_ACCURACY = "accuracy (validation; in full: test)"
MOST_SAMPLES = 300  # of a network's raw samples that the figure of distributions carries

Figure = dict[str, Any]


def figures(content: Content) -> dict[str, Figure]:
    """Every figure that this run has data for, by the id of its place in the page."""
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
        data.append(_of_trials([winner], device, "found, in the search", {"color": RED, "size": 16, "symbol": "star"}))
    full = _trained_in_full(content, device)
    data += full
    target = state.targets_ms.get(device)
    if target is not None:
        # A trace, not a shape: it stays in the visible range, and its name is in the legend, where it covers nothing.
        heights = [y for trace in data for y in trace["y"]]
        data.append(
            {"name": f"target {ms(target)}", "mode": "lines", "x": [target, target], "y": [min(heights), max(heights)]}
            | {"line": {"color": RED, "width": 1.5, "dash": "dash"}, "hoverinfo": "skip"}
        )
    return {"data": data, "layout": _layout(f"latency on {device} (ms)", SAID_OF_ACCURACY if full else ON_VALIDATION)}


def rewards(content: Content) -> Figure | None:
    """Rewards and their moving mean, in the order in which the results arrived."""
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
    return {"data": data, "layout": _layout("results, in order of arrival", "reward", len(order))}


def entropy(content: Content) -> Figure | None:
    """How open the searcher's decisions still were at each step; None for a searcher that learns no probabilities."""
    if not content.view.entropies:
        return None
    steps, values = zip(*content.view.entropies, strict=True)
    trace = {"mode": "lines", "x": steps, "y": _rounded(values), "line": {"color": BLUE, "width": 2.5}}
    layout = _layout("step of the search", "entropy of the decisions", max(steps)) | {"height": 260}
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
    """See `runs.drift`, for each trial."""
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
    last = max((one.trial for one in content.measurements), default=0)
    return {"data": data, "layout": _layout("trial", "reference model slower by (%)", last)} if data else None


def proxy(content: Content) -> Figure | None:
    """Accuracy after the short training and after the long one, of the trials that had both."""
    pairs = content.proxy_and_full()
    if not pairs:
        return None
    numbers = [pair.trial for pair in pairs]
    named = apart([(pair.proxy, pair.full) for pair in pairs])
    trace = {
        "name": "trials trained in full",
        "mode": "markers+text",
        "x": _rounded(pair.proxy for pair in pairs),
        "y": _rounded(pair.full for pair in pairs),
        "text": [str(pair.trial) if free else "" for pair, free in zip(pairs, named, strict=True)],
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


def _trained_in_full(content: Content, device: str) -> list[Figure]:
    """Test accuracies (mean over seeds) with their intervals, each network with a symbol that the legend names."""
    traces = []
    for index, one in enumerate(content.full(device)):
        said = f"{plain(one.name)}{' (found)' if one.found else ''}, trained in full"
        trace: Figure = {
            "name": said,
            "mode": "markers",
            "x": _rounded([one.latency_ms]),
            "y": _rounded([one.test]),
            "text": [f"{said}<br>{share(one.test)} on test at {ms(one.latency_ms)}"],
            "hoverinfo": "text",
            "marker": {"color": RED if one.found else ORANGE, "size": 11, "symbol": SYMBOLS[index % len(SYMBOLS)]},
        }
        if one.interval is not None:
            low, high = one.interval
            trace["text"][0] += f"<br>95 %: {share(low)} to {share(high)}"
            trace["error_y"] = {"type": "data", "symmetric": False, "thickness": 1.5, "width": 4}
            trace["error_y"] |= {"array": _rounded([high - one.test]), "arrayminus": _rounded([one.test - low])}
        traces.append(trace)
    return traces


def plain(text: object) -> str:
    """Text for plotly, which interprets some HTML, escaped."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _layout(x: str, y: str, counts: int | None = None) -> Figure:
    """Axes with their names; `counts` is how far x counts something, whose axis has only whole numbers."""
    hover = {"hoverformat": ".3~r"}  # three digits
    layout: Figure = {"xaxis": {"title": {"text": plain(x)}} | hover, "yaxis": {"title": {"text": plain(y)}} | hover}
    if counts is not None:
        layout["xaxis"] |= {"tick0": 0, "dtick": whole_step(counts), "hoverformat": "d"}
    return layout


def whole_step(most: int) -> int:
    """The distance between about ten ticks up to `most`, all whole numbers: 1, 2, 5, 10, 20, ..."""
    step = 1
    while most / step > 10:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return step


def apart(points: Sequence[tuple[float, float]], near: tuple[float, float] = (0.05, 0.06)) -> list[bool]:
    """Which points have space for a label of their own: the first of those close to each other.

    `near` is the space that a label takes, as a share of the points' span.
    """
    spans = [(max(values) - min(values)) or 1.0 for values in zip(*points, strict=True)]
    labelled: list[tuple[float, float]] = []
    result = []
    for point in points:
        free = all(
            any(abs(a - b) >= room * span for a, b, span, room in zip(point, other, spans, near, strict=True))
            for other in labelled
        )
        result.append(free)
        labelled += [point] if free else []
    return result


def _colour(content: Content, device: str) -> str:
    return DEVICE_COLOURS[content.devices.index(device) % len(DEVICE_COLOURS)]


def _thinned(values: Sequence[float], most: int) -> list[float]:
    """At most `most` of sorted values, evenly by rank, including both ends: quartiles and extremes stay."""
    ordered = sorted(values)
    if len(ordered) <= most:
        return ordered
    return [ordered[round(n * (len(ordered) - 1) / (most - 1))] for n in range(most)]


def _rounded(values: Iterable[float]) -> list[float]:
    """Five digits: what a figure can show, in a third of the bytes."""
    return [float(f"{value:.5g}") for value in values]
