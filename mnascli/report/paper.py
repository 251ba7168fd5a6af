"""Figures for a paper or a slide, as PNG and SVG, drawn by matplotlib: the `figures` extra."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnascli.errors import MnasError, reason
from mnascli.report import figures as colours
from mnascli.report.content import Content
from mnascli.report.drawing import Box, boxes
from mnascli.report.words import ms
from mnascli.runs.views import MEAN_OVER
from mnascli.space import Architecture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN_IN = 5.0  # inches: a column and a half of a paper
KIND_COLOURS = {"conv": colours.ORANGE, "sep": colours.GREEN, "sep_act": colours.GREEN, "mbconv": colours.BLUE}
MARKERS = "Ds^ph+xv"
TIMES = "\N{MULTIPLICATION SIGN}"
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "svg.hashsalt": "mnas",  # the same run gives the same file
    "svg.fonttype": "none",
}


def write_figures(content: Content, folder: Path) -> list[Path]:
    """Write every figure that the run has data for. Raises MnasError without matplotlib, or a full disk."""
    try:
        import matplotlib
    except ImportError as error:
        raise MnasError("--figures needs matplotlib: pip install 'mnas[figures]'") from error
    matplotlib.use("Agg")  # no window, wherever it runs
    files = []
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        for name, figure in _all(content).items():
            files += _save(figure, folder / name)
    return files


def _all(content: Content) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    several = len(content.devices) > 1
    for device in content.devices:
        if content.view.points.get(device):
            found[f"pareto-{_file_name(device)}" if several else "pareto"] = _plane(content, device)
    if content.view.rewards:
        found["rewards"] = _rewards(content)
    if content.samples():
        found["latency"] = _distributions(content)
    if content.proxy_and_full():
        found["proxy"] = _proxy(content)
    winner = content.winner()
    if winner is not None:
        found["architecture"] = _architecture(boxes(Architecture.parse(winner.architecture)))
    return found


def _plane(content: Content, device: str) -> Figure:
    full = content.full(device)
    said = colours.SAID_OF_ACCURACY if full else colours.ON_VALIDATION
    figure, axes = _axes(f"latency on {device} (ms)", said)
    points, front = content.view.points[device], content.view.fronts[device]
    axes.scatter([one.latency_ms for one in points], [one.accuracy for one in points], s=10, c=colours.GREY, alpha=0.6)
    x, y = [one.latency_ms for one in front], [one.accuracy for one in front]
    axes.step(x, y, where="post", marker="o", markersize=4, c=colours.BLUE, label="Pareto front")
    winner = content.winner()
    if winner is not None and winner.accuracy is not None and device in winner.latency_ms:
        axes.plot(
            winner.latency_ms[device],
            winner.accuracy,
            "*",
            markersize=13,
            c=colours.RED,
            label=f"trial {winner.trial}, in the search",
        )
    for marker, one in zip(cycle(MARKERS), full, strict=False):
        low, high = one.interval or (one.test, one.test)
        colour = colours.RED if one.found else colours.ORANGE
        label = _plain(f"{one.name}{' (found)' if one.found else ''}, trained in full")
        bars = [[one.test - low], [high - one.test]]
        axes.errorbar(
            one.latency_ms, one.test, bars, fmt=marker, c=colour, markersize=6, capsize=3, linewidth=1, label=label
        )
    target = content.state.targets_ms.get(device)
    if target is not None:
        axes.axvline(target, linestyle="--", linewidth=1, c=colours.RED, label=f"target {ms(target)}")
    axes.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(0, -0.18), ncols=2)
    return figure


def _rewards(content: Content) -> Figure:
    figure, axes = _axes("results, in order of arrival", "reward")
    axes.locator_params(axis="x", integer=True)
    order = range(1, len(content.view.rewards) + 1)
    axes.scatter(order, [reward for _, reward in content.view.rewards], s=8, c=colours.GREY, alpha=0.6)
    axes.plot(order, content.view.means, c=colours.BLUE, label=f"mean of {MEAN_OVER} trials")
    axes.legend(frameon=False)
    return figure


def _distributions(content: Content) -> Figure:
    samples = content.samples()
    several = len(content.devices) > 1
    figure, axes = _axes("one run (ms)", "", height_in=0.8 + 0.25 * len(samples))
    names = [f"{one.name}, {one.device}" if several else one.name for one in samples]
    axes.boxplot([one.samples_ms for one in samples], orientation="horizontal", tick_labels=names, sym=".", widths=0.6)
    axes.set_xscale("log")
    return figure


def _proxy(content: Content) -> Figure:
    figure, axes = _axes("accuracy in the search", "accuracy trained in full")
    pairs, tau = content.proxy_and_full(), content.proxy_tau()
    axes.scatter([pair.proxy for pair in pairs], [pair.full for pair in pairs], s=18, c=colours.BLUE)
    named = colours.apart([(pair.proxy, pair.full) for pair in pairs])
    for pair in [pair for pair, free in zip(pairs, named, strict=True) if free]:
        axes.annotate(str(pair.trial), (pair.proxy, pair.full), (3, 3), textcoords="offset points", fontsize=7)
    axes.locator_params(axis="x", nbins=5)
    if tau is not None:
        ceiling = (content.state.validation or {}).get("ceiling")
        of_labels = "" if ceiling is None else f" (full training itself {ceiling:.2f})"
        axes.set_title(f"Kendall's τ = {tau.tau:.2f}{of_labels}, n = {len(pairs)}, p = {tau.p_value:.2g}", fontsize=9)
    return figure


def _architecture(stages: tuple[Box, ...]) -> Figure:
    """The stages from left to right, as the paper's figure 7 has them from top to bottom."""
    from matplotlib import pyplot as plt
    from matplotlib.patches import FancyBboxPatch

    figure, axes = plt.subplots(figsize=(1.05 * len(stages), 1.5), layout="constrained")
    axes.set(xlim=(0, len(stages)), ylim=(0, 1))
    axes.axis("off")
    for index, box in enumerate(stages):
        colour = KIND_COLOURS.get(box.kind, colours.GREY)
        corners = "round,pad=0.01,rounding_size=0.04"
        axes.add_patch(FancyBboxPatch((index + 0.04, 0.2), 0.86, 0.75, corners, ec=colour, fc=colour, alpha=0.25))
        skip = f"skip {box.skip}" if box.skip else ""
        times = f"{TIMES}{box.repeats}" if box.repeats > 1 else ""
        words = [box.title.replace(", ", "\n"), *box.notes, skip, times]
        axes.text(index + 0.47, 0.58, "\n".join(word for word in words if word), ha="center", va="center", fontsize=6.5)
        axes.text(
            index + 0.47,
            0.08,
            TIMES.join(map(str, (box.size, box.size, box.channels))),
            ha="center",
            va="center",
            fontsize=6,
        )
        if index:
            arrow = {"arrowstyle": "->", "color": colours.GREY}
            axes.annotate("", (index + 0.05, 0.58), (index - 0.1, 0.58), arrowprops=arrow)
    return figure


def _axes(x: str, y: str, height_in: float = 3.2) -> tuple[Figure, Axes]:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(COLUMN_IN, height_in), layout="constrained")
    axes.set(xlabel=_plain(x), ylabel=_plain(y))
    return figure, axes


def _save(figure: Figure, stem: Path) -> list[Path]:
    from matplotlib import pyplot as plt

    files = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")]
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        for file in files:
            metadata: dict[str, Any] = {"Date": None} if file.suffix == ".svg" else {}
            figure.savefig(file, dpi=200, metadata=metadata)
    except OSError as error:
        raise MnasError(f"{stem.parent}: the figures cannot be written: {reason(error)}") from error
    finally:
        plt.close(figure)
    return files


def _plain(text: str) -> str:
    """Text without formulas: matplotlib reads one between dollar signs."""
    return text.replace("$", r"\$")


def _file_name(device: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in device)
