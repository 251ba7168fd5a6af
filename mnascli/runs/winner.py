"""Which trial is the winner of a run: one answer, which every face uses.

The winner is the trial whose file the run ships. It is chosen among the finalists, by their full trainings, and
recorded in the log; the best by proxy, which the short trainings rank first, may be another trial.
"""

from __future__ import annotations

from collections.abc import Sequence

from mnascli.runs.state import RunState, Trial


def winner(state: RunState) -> Trial | None:
    """The winner; in a run that has not chosen one yet, the best so far by proxy; None if no trial is done."""
    return state.best() if state.chosen is None else state.trials[state.chosen]


def choose(state: RunState, finalists: Sequence[Trial], seed: int) -> Trial:
    """The winner among finalists that were trained in full with `seed`: first one that meets the targets, then the more
    accurate on the selection part, then the earlier trial."""

    def rank(trial: Trial) -> tuple[bool, float, int]:
        selection = float(state.long_runs[name_of(trial.trial), seed]["selection"])
        return state.meets_targets(trial.latency_ms), selection, -trial.trial

    return max(finalists, key=rank)


def name_of(trial: int) -> str:
    """The name of a trial's full trainings in the log."""
    return f"trial-{trial}"


def proxy_seed(seed: int, evaluator: str, trial: int) -> int:
    """The seed that a trial's accuracy in the search depends on: of its short training, or of the supernet's.

    `seed` and `evaluator` are the configuration's; for a trial that repeats another, give the other's number.
    """
    return seed if evaluator == "supernet" else seed + trial


def trained_in_full(state: RunState, trial: int) -> list[float]:
    """Test accuracies of a trial's full trainings, one per seed."""
    return [float(run["test"]) for (name, _), run in state.long_runs.items() if name == name_of(trial)]
