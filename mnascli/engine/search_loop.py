"""The search loop: ask, log, evaluate, reward, tell; resumable at any point.

The order of writes decides what a kill may cost. The searcher's state is saved right after it was asked, and then the
event is logged that names the state's file and the trials asked for. So the log's last `asked` event always has a state
to resume from: whatever is unfinished in its batch is evaluated, the searcher gets the whole batch, and it proposes
exactly what it would have proposed. No result is lost, since each is on the disk before the next step; none is
repeated. A network that was proposed before, even by another architecture with the same layers, is not evaluated again:
it takes the results of the earlier trial.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mnascli.errors import MnasError
from mnascli.runs import Run, RunError, Trial, write_atomically
from mnascli.search import Objective, Result, Searcher
from mnascli.space import Architecture, network_id

PROPOSALS = 2000  # that are thrown away for one that is wanted
STATES_KEPT = 2  # of the searcher: the current one, and the one before it


@dataclass(frozen=True)
class TrialWork:
    """A trial, what is still unknown about it, and whether that is still wanted."""

    trial: int
    architecture: Architecture
    missing_devices: tuple[str, ...]
    needs_training: bool
    is_wanted: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Outcome:
    """One event for the log: started, measured, trained or failed of a trial; without a trial, of a device."""

    event: str
    trial: int | None
    values: dict[str, Any]


Evaluate = Callable[[Sequence[TrialWork]], Iterator[Outcome]]


class SearchStoppedError(MnasError):
    """The search gave up: too many trials failed in the same way."""


def search(
    run: Run,
    searcher: Searcher,
    evaluate: Evaluate,
    objective: Objective,
    *,
    trials: int,
    batch: int,
    failures: int,
    climb: Callable[[Run, Objective], None] = lambda run, objective: None,
    is_wanted: Callable[[Architecture], bool] | None = None,
) -> None:
    """Continue a run until it has `trials` trials, `batch` of them at a time.

    Raises SearchStoppedError after `failures` failures of one kind in a row.
    """
    if run.state.searcher_file is not None:
        searcher.load_state_dict(_load_state(run, run.state.searcher_file))
        _finish_batch(run, searcher, evaluate, objective, failures, climb)
    while len(run.state.trials) < trials:
        _ask(run, searcher, min(batch, trials - len(run.state.trials)), is_wanted)
        _finish_batch(run, searcher, evaluate, objective, failures, climb)


def _ask(run: Run, searcher: Searcher, count: int, is_wanted: Callable[[Architecture], bool] | None) -> None:
    step, first = run.state.step + 1, len(run.state.trials)
    architectures = searcher.ask(count) if is_wanted is None else [_wanted(searcher, is_wanted) for _ in range(count)]
    buffer = io.BytesIO()
    torch.save(searcher.state_dict(), buffer)
    file = f"searcher/step-{step:06d}.pt"
    write_atomically(run.path / file, buffer.getvalue())
    asked = [
        {"trial": first + n, "architecture": str(one), "network": network_id(one)}
        for n, one in enumerate(architectures)
    ]
    run.append("asked", step=step, searcher=file, trials=asked)
    if learned := searcher.probabilities():
        run.append("learned", step=step, probabilities=_by_choice(searcher, learned))
    (run.path / f"searcher/step-{step - STATES_KEPT:06d}.pt").unlink(missing_ok=True)


def _wanted(searcher: Searcher, is_wanted: Callable[[Architecture], bool]) -> Architecture:
    """The first proposal that is wanted; after so many tries the last one, wanted or not.

    What is thrown away the searcher never hears of again: it cost nothing, and nothing was learned about it.
    """
    for _ in range(PROPOSALS):
        (architecture,) = searcher.ask(1)
        if is_wanted(architecture):
            break
    return architecture


def _by_choice(searcher: Searcher, learned: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    choices = {decision.tag: decision.choices for decision in searcher.space.decisions}
    return {
        tag: {str(choice): round(p, 4) for choice, p in zip(choices[tag], probabilities, strict=True)}
        for tag, probabilities in learned.items()
    }


def _load_state(run: Run, file: str) -> dict[str, Any]:
    path = run.path / file
    try:
        return dict(torch.load(path, weights_only=True))
    except Exception as error:  # torch raises many kinds for a missing or damaged file
        raise RunError(
            f"{path}: the searcher's state cannot be read: {error}; the run cannot continue from here"
        ) from error


def _finish_batch(
    run: Run,
    searcher: Searcher,
    evaluate: Evaluate,
    objective: Objective,
    failures: int,
    climb: Callable[[Run, Objective], None],
) -> None:
    """Evaluate what the last batch still lacks, and give the searcher all its results, in the order asked."""
    batch = run.state.batch
    for trial in batch:
        _reward_if_complete(run, trial, objective)  # the run may have ended between the two events
    evaluated: set[int] = set()
    while work := _open_work(run, batch, evaluated):
        evaluated |= {one.trial for one in work}
        for outcome in evaluate(work):
            if outcome.trial is None:
                run.append(outcome.event, **outcome.values)
                continue
            trial = run.state.trials[outcome.trial]
            if trial.finished:  # the other half of a trial that has failed already
                continue
            run.append(outcome.event, trial=outcome.trial, **outcome.values)
            _reward_if_complete(run, trial, objective)
            if run.state.failures_alike >= failures:
                _stop(run, trial)
    climb(run, objective)
    searcher.tell([_result(trial, objective, run) for trial in batch])


def _open_work(run: Run, batch: Sequence[Trial], evaluated: set[int]) -> list[TrialWork]:
    """What remains to evaluate in a batch: one trial per network. Those whose network is known get its results.

    If the first trial of a network fails, the next one in the batch tries again.
    """
    work: dict[str | int, TrialWork] = {}
    for trial in batch:
        if trial.finished or trial.trial in evaluated:
            continue
        known = run.state.known.get(trial.network)
        if known is not None:
            run.append("repeated", trial=trial.trial, of=known.trial)
        else:
            work.setdefault(trial.network or trial.trial, _work(trial, run))
    return list(work.values())


def _work(trial: Trial, run: Run) -> TrialWork:
    missing = tuple(device for device in run.state.targets_ms if device not in trial.latency_ms)
    architecture = Architecture.parse(trial.architecture)
    return TrialWork(trial.trial, architecture, missing, trial.accuracy is None, lambda: not trial.finished)


def _reward_if_complete(run: Run, trial: Trial, objective: Objective) -> None:
    """Log the outcome of a trial: done, or hopeless, which needs no training. Either needs all its latencies."""
    if trial.finished or not all(device in trial.latency_ms for device in run.state.targets_ms):
        return
    if trial.accuracy is not None:
        run.append("done", trial=trial.trial, reward=objective.reward(trial.accuracy, trial.latency_ms))
    elif objective.is_hopeless(trial.latency_ms):
        run.append("hopeless", trial=trial.trial)


def _result(trial: Trial, objective: Objective, run: Run) -> Result:
    """What the searcher gets; a hopeless trial counts as one with the worst accuracy so far, at its own latency.

    So the slower it is, the worse, and never better than what was trained at that latency; a reward of 0 would be an
    outlier that hides the differences between all others.
    """
    architecture = Architecture.parse(trial.architecture)
    if trial.state == "hopeless":
        latency_ms = dict(trial.latency_ms)
        return Result(architecture, objective.reward(run.state.worst_accuracy or 0.0, latency_ms), None, latency_ms)
    if trial.reward is None:
        return Result(architecture, objective.failed)
    known = trial if trial.repeats is None else run.state.trials[trial.repeats]
    reward = trial.reward if known.reward is None else known.reward
    return Result(architecture, reward, run.state.estimate(known), dict(trial.latency_ms))


def _stop(run: Run, trial: Trial) -> None:
    failure = trial.failure or {}
    reason = (
        f"{run.state.failures_alike} trials in a row failed alike ({failure.get('stage')}, {failure.get('kind')}), "
        f"the last with: {failure.get('reason')}; see {run.trial_folder(trial.trial)}, fix it and --resume {run.path}"
    )
    run.append("run_stopped", reason=reason)
    raise SearchStoppedError(reason)
