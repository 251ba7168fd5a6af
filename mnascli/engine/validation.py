"""Does the proxy rank? A spread of a run's candidates trained in full, and how well the short training foretold them.

Google's NAS service asks for a Kendall tau of 0.65 or more between proxy and full training on 10 to 20 models; below
it, the search may have followed what the short training likes and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mnascli.errors import MnasError
from mnascli.runs import RunState, Trial
from mnascli.search.ranking import kendall_tau

TRUSTED_TAU = 0.65
SIGNIFICANT = 0.05
FEWEST = 4  # below it no order is significant


def judge(state: RunState, chosen: Sequence[Trial], seed: int, images: int) -> dict[str, Any]:
    """How well proxy accuracies foretold full ones, JSON-ready: `candidates`, `tau`, `p_value`, `images`, `trusted`.

    Full accuracy is that on the selection part of `images` images: on the validation part both would share its luck.
    """
    full = [float(state.long_runs[f"trial-{one.trial}", seed]["selection"]) for one in chosen]
    proxy = [one.accuracy or 0.0 for one in chosen]
    tau, p_value = kendall_tau(proxy, full)
    rows = [
        {"trial": trial.trial, "architecture": trial.architecture, "proxy": short, "full": long}
        for trial, short, long in zip(chosen, proxy, full, strict=True)
    ]
    trusted = tau >= TRUSTED_TAU and p_value < SIGNIFICANT
    figures = {"tau": _none_if_nan(tau), "p_value": _none_if_nan(p_value)}
    return {"candidates": rows, **figures, "images": images, "trusted": trusted}


def spread(state: RunState, count: int) -> list[Trial]:
    """So many different trials, from the worst to the best by proxy accuracy at equal steps of rank.

    Raises MnasError where there are fewer than an order can be told of.
    """
    different = {trial.architecture: trial for trial in state.done()}
    ranked = sorted(different.values(), key=lambda trial: (trial.accuracy or 0.0, trial.trial))
    if len(ranked) < FEWEST:
        raise MnasError(
            f"{len(ranked)} different candidates of this run have a result: {FEWEST} or more are needed to tell "
            "whether the proxy ranks; go on with `mnas search --resume RUN --trials N`"
        )
    count = max(FEWEST, min(count, len(ranked)))
    return [ranked[round(step * (len(ranked) - 1) / (count - 1))] for step in range(count)]


def verdict(outcome: dict[str, Any]) -> str:
    """What the figures mean, in one line."""
    tau, p_value, count = outcome["tau"], outcome["p_value"], len(outcome["candidates"])
    if tau is None:
        return "all candidates came out the same: the proxy's ranking is not to be trusted; use a longer proxy"
    figures = f"Kendall tau {tau:.2f} (p = {p_value:.3f}) over {count} candidates"
    if tau < TRUSTED_TAU:
        return f"{figures}, below {TRUSTED_TAU}: the proxy's ranking is not to be trusted; use a longer proxy"
    if p_value >= SIGNIFICANT:
        return f"{figures}: too few candidates to trust it; validate with more"
    return f"{figures}: the proxy ranks"


def _none_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
