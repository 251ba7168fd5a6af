"""The report as one HTML file that opens without a network: style, script, plotly and the data are inside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from mnascli import __version__
from mnascli.report import words
from mnascli.report.content import Content
from mnascli.report.drawing import boxes
from mnascli.report.figures import figures
from mnascli.report.headline import headline
from mnascli.runs import UNSURE_MEANS, mark, standing, trial_standing
from mnascli.runs.summary import rung_in_words, unused, unused_in_words
from mnascli.space import Architecture, ArchitectureError

BEST_LISTED = 25


def page(content: Content) -> str:
    """The HTML of a run's report."""
    return _environment().get_template("report.html.j2").render(**_values(content), plotly=plotly_script())


def text(content: Content) -> str:
    """The same in Markdown, without what needs a mouse."""
    return _environment().get_template("report.md.j2").render(**_values(content))


def plotly_script() -> str:
    """plotly.js from its Python package; read as a file, because importing the package takes a second."""
    from importlib.util import find_spec

    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("plotly")
    return (Path(spec.origin).parent / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


def _values(content: Content) -> dict[str, Any]:
    sentence, cards = headline(content)
    drawn = figures(content)
    state = content.state
    return {
        "content": content,
        "state": state,
        "version": __version__,
        "sentence": sentence,
        "cards": cards,
        "figures": drawn,
        "data": finite({"figures": drawn, **trial_table(content), "winner": _number(content)}),
        "networks": _networks(content),
        "compared": content.compared(),
        "fronts": {device: content.front(device) for device in content.devices},
        "best": state.ranking()[:BEST_LISTED],
        "tau": content.proxy_tau(),
        "pairs": content.proxy_and_full(),
        "failures": content.failures(),
        "promoted": state.by_rung(),
        "unused": None if (left := unused(state)) is None else unused_in_words(left),
        "took": None if state.began is None or state.last_time is None else state.last_time - state.began,
        "began": words.clock(state.began),
    }


def trial_table(content: Content) -> dict[str, Any]:
    """All trials for the page's script: one row each, its architecture as indices into the list of stages.

    A row is [trial, state, stages, accuracy, reward, history, {device: [ms, p5, p95, verdict]}, failure].
    """
    stages: dict[str, int] = {}
    latencies: dict[int, dict[str, list[Any]]] = {}
    for one in content.measurements:
        row = [round(one.latency_ms, 5), round(one.p5_ms, 5), round(one.p95_ms, 5), one.verdict]
        latencies.setdefault(one.trial, {})[one.device] = row
    rows, run = [], standing(content.path, content.state)
    for trial in content.state.trials.values():
        indices = [stages.setdefault(stage, len(stages)) for stage in trial.architecture.split(",")]
        history = [round(accuracy, 4) for accuracy in trial.history]
        failure = trial.failure and f"{trial.failure['stage']}: {trial.failure['reason']}"
        numbers = [None if value is None else round(value, 5) for value in (trial.accuracy, trial.reward)]
        state = trial_standing(trial, run)
        rows.append([trial.trial, state, indices, *numbers, history, latencies.get(trial.trial, {}), failure])
    return {"stages": list(stages), "trials": rows, "run": content.name}


def finite(value: Any) -> Any:
    """The same without NaN and infinity, which are not JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return value


def _networks(content: Content) -> list[dict[str, Any]]:
    """The winner and what it was compared with, drawn; before the comparison, the winner alone."""
    winner = content.winner()
    shown = {row["model"]: row["architecture"] for row in content.compared()}
    if not shown and winner is not None:
        shown = {f"trial {winner.trial}": winner.architecture}
    networks = []
    for name, string in shown.items():
        try:
            networks.append({"name": name, "architecture": string, "boxes": boxes(Architecture.parse(string))})
        except ArchitectureError as error:
            content.problems.append(f"{name}: cannot be drawn: {error}")
    return networks


def _number(content: Content) -> int | None:
    winner = content.winner()
    return winner.trial if winner else None


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mnascli.report"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("share", "interval", "points", "ms", "number", "amount", "duration", "numbers", "clock")
    environment.filters |= {name: getattr(words, name) for name in names} | {"cell": _markdown_cell, "mark": mark}
    environment.filters["rung_in_words"] = rung_in_words
    environment.globals["unsure_means"] = UNSURE_MEANS
    return environment


def _markdown_cell(value: object) -> str:
    """Text that stays within its cell of a Markdown table and is not HTML."""
    escaped = str(value).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(escaped.split())
