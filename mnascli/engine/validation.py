"""Does the proxy rank? A spread of a run's candidates trained in full, and how well the short training predicted them.

Google's NAS service asks for a Kendall tau of 0.65 or more between proxy and full training on 10 to 20 models; below
it, the search may have followed only what favours a network in the short training.

A proxy and the labels it is compared with share neither seed nor pictures: its accuracy is on the validation part,
theirs on the selection part, from trainings with other seeds than its own. Labels depend on their own seeds too, so no
proxy can do better than the ceiling: how well a full training, evaluated on the proxy's pictures, predicts one with
another seed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, islice, permutations
from typing import Any

from mnascli.errors import MnasError
from mnascli.runs import RunState, Trial
from mnascli.runs.winner import name_of
from mnascli.search.ranking import kendall_tau, p_value_of
from mnascli.space import Architecture, network_id

TRUSTED_TAU = 0.65
SIGNIFICANT = 0.05
FEWEST = 4  # with fewer, no order is significant
LABELS = 2  # full trainings of each candidate; the ceiling needs two


def label_seeds(first: int, proxy_seed: int, labels: int) -> list[int]:
    """`labels` seeds from `first` on for full trainings of a candidate, without that of its proxy."""
    return list(islice((seed for seed in count(first) if seed != proxy_seed), labels))


def judge(state: RunState, chosen: Sequence[Trial], seeds: Mapping[int, Sequence[int]], images: int) -> dict[str, Any]:
    """How well proxy accuracies predicted full ones, JSON-ready.

    `seeds` are those of the full trainings of each chosen trial, by its number, the same count for all, two or more;
    `images` are in the selection part. `tau` is the mean over the seeds of Kendall's tau between proxy and full
    training, `ceiling` that between the full trainings of one seed, on the validation part, and those of another.
    """
    labels = [[state.long_runs[name_of(one.trial), seed] for seed in seeds[one.trial]] for one in chosen]
    selection, validation = (
        [[float(run[part]) for run in runs] for runs in zip(*labels, strict=True)]
        for part in ("selection", "validation")
    )
    proxy = [one.accuracy or 0.0 for one in chosen]
    tau = _mean_tau((proxy, full) for full in selection)
    ceiling = _mean_tau((validation[a], selection[b]) for a, b in permutations(range(len(selection)), 2))
    p_value = math.nan if tau is None else p_value_of(tau, len(chosen))
    rows = [
        {
            "trial": trial.trial,
            "architecture": trial.architecture,
            "proxy": short,
            "full": statistics.fmean(float(run["selection"]) for run in runs),
            "labels": [{"seed": run["seed"], "selection": run["selection"]} for run in runs],
        }
        for trial, short, runs in zip(chosen, proxy, labels, strict=True)
    ]
    return {
        "candidates": rows,
        "tau": tau,
        "p_value": None if tau is None else p_value,
        "ceiling": ceiling,
        "seeds": len(selection),
        "images": images,
        "trusted": tau is not None and tau >= TRUSTED_TAU and p_value < SIGNIFICANT,
    }


def spread(state: RunState, number: int) -> list[Trial]:
    """`number` trials of different networks, from the worst to the best by proxy accuracy, at equal steps of rank.

    Raises MnasError if there are too few to rank.
    """
    different: dict[str, Trial] = {}
    for trial in state.done():
        different.setdefault(trial.network or network_id(Architecture.parse(trial.architecture)), trial)
    ranked = sorted(different.values(), key=lambda trial: (trial.accuracy or 0.0, trial.trial))
    if len(ranked) < FEWEST:
        raise MnasError(
            f"{len(ranked)} different candidates of this run have a result: {FEWEST} or more are needed to check "
            "whether the proxy ranks; continue with `mnas search --resume RUN --trials N`"
        )
    number = max(FEWEST, min(number, len(ranked)))
    return [ranked[round(step * (len(ranked) - 1) / (number - 1))] for step in range(number)]


def verdict(outcome: Mapping[str, Any]) -> str:
    """What the figures mean, in one line; also for outcomes logged by earlier versions, without a ceiling."""
    tau, p_value, ceiling = outcome["tau"], outcome["p_value"], outcome.get("ceiling")
    if tau is None:
        return "all candidates came out the same: the proxy's ranking cannot be trusted; use a longer proxy"
    beside = "" if ceiling is None else f"; a full training with another seed has {ceiling:.2f}"
    figures = f"Kendall tau {tau:.2f} (p = {p_value:.3f}{beside}) over {len(outcome['candidates'])} candidates"
    if tau < TRUSTED_TAU and ceiling is not None and ceiling < TRUSTED_TAU:
        return (
            f"{figures}, both below {TRUSTED_TAU}: full trainings do not rank these candidates either, so the "
            "proxy's ranking cannot be trusted; use more pictures, or longer trainings"
        )
    if tau < TRUSTED_TAU:
        return f"{figures}, below {TRUSTED_TAU}: the proxy's ranking cannot be trusted; use a longer proxy"
    if p_value >= SIGNIFICANT:
        return f"{figures}: too few candidates to trust it; validate with more"
    return f"{figures}: the proxy ranks"


def _mean_tau(pairs: Iterable[tuple[Sequence[float], Sequence[float]]]) -> float | None:
    taus = [kendall_tau(one, other).tau for one, other in pairs]
    known = [tau for tau in taus if not math.isnan(tau)]
    return statistics.fmean(known) if known else None
