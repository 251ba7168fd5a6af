"""Rungs: the best of each batch are trained longer, and the best of those longer still (successive halving).

Who is promoted is decided from the log alone, batch by batch, and logged before anything is trained for it, so a killed
run promotes exactly whom it would have. The searcher knows nothing of rungs: it is told, for each trial, an estimate of
its accuracy on the highest one. (Jamieson and Talwalkar, 1502.07943.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnascli.engine.children.executor import Executor, Finished, Task, TaskFailed
from mnascli.engine.children.work import train_candidate
from mnascli.engine.sections import RungConfig
from mnascli.runs import Run, RunState, Trial
from mnascli.runs.directory import output_file
from mnascli.search import Objective
from mnascli.search.ranking import kendall_tau
from mnascli.training.recipe import Recipe

NEAR = 0.8  # of the target: from here up to it a network counts as near it
SEEDS_APART = 1_000_003  # between the seeds of a trial's trainings on different rungs


@dataclass(frozen=True)
class Rungs:
    """The rungs above the proxy, and what their trainings need; `training` holds what all of them share."""

    rungs: Sequence[RungConfig]
    proxy: Recipe
    executor: Executor
    training: Mapping[str, Any]
    seed: int
    trial_folder: Callable[[int], Path]
    timeout_s: float | None = None

    def climb(self, run: Run, objective: Objective) -> None:
        """Promote, train and estimate the trials of the last batch, as far as the log does not have it yet."""
        if not self.rungs:
            return
        state, step = run.state, run.state.step
        for number, rung in enumerate(self.rungs, 1):
            if (step, number) not in state.promoted:
                run.append("promoted", step=step, rung=number, trials=promoted(state, rung, number))
            self._train(run, number, state.promoted[step, number])
        for trial in state.batch:
            if trial.state == "done" and trial.repeats is None and not trial.is_estimated:
                accuracy = state.estimate(trial) or 0.0
                reward = objective.reward(accuracy, trial.latency_ms)
                run.append("estimated", trial=trial.trial, rung=trial.rung, accuracy=accuracy, reward=reward)

    def _train(self, run: Run, number: int, trials: Sequence[int]) -> None:
        waiting = [run.state.trials[trial] for trial in trials]
        tasks = [
            self._task(number, trial)
            for trial in waiting
            if number not in trial.rungs and number not in trial.rung_failures
        ]
        for event in self.executor.map(tasks):
            if isinstance(event, Finished):
                values = {key: event.value[key] for key in ("accuracy", "history", "loss", "seconds")}
                run.append("rung_trained", trial=event.key, rung=number, **values)
            elif isinstance(event, TaskFailed):
                run.append("rung_failed", trial=event.key, rung=number, kind=event.kind, reason=event.reason)

    def _task(self, number: int, trial: Trial) -> Task:
        recipe = recipe_of(self.proxy, self.rungs[number - 1].epochs)
        seed = self.seed + trial.trial + number * SEEDS_APART
        arguments = {**self.training, "recipe": recipe, "architecture": trial.architecture, "seed": seed}
        timeout_s = None if self.timeout_s is None else self.timeout_s * recipe.epochs / self.proxy.epochs
        output = output_file(self.trial_folder(trial.trial))
        return Task(trial.trial, train_candidate, arguments, output, timeout_s=timeout_s)


def recipe_of(proxy: Recipe, epochs: int) -> Recipe:
    """The proxy's recipe for so many epochs; its warm-up keeps its share of them."""
    return proxy.model_copy(update={"epochs": epochs, "warmup_epochs": proxy.warmup_epochs * epochs / proxy.epochs})


def promoted(state: RunState, rung: RungConfig, number: int) -> list[int]:
    """The trials of the last batch that go to a rung, the best first; of equals the earlier trial.

    Half of the places, rounded up, are for networks near the target: a short training likes small networks, and who
    asks for 75 ms wants the best network of 75 ms. The others are for the best of all within the target. Networks
    beyond it come last.
    """
    able = [one for one in state.batch if one.state == "done" and one.repeats is None and number - 1 in one.rungs]
    places = min(len(able), places_of(rung, len(state.batch)))

    def worth(trial: Trial) -> tuple[bool, float, int]:
        below = number - 1
        loss = trial.losses.get(below, math.inf)
        measure = -loss if rung.by == "loss" else trial.rungs[below]
        return state.meets_targets(trial.latency_ms), measure, -trial.trial

    ordered = sorted(able, key=worth, reverse=True)
    chosen = [trial for trial in ordered if is_near(state, trial)][: math.ceil(places / 2)]
    chosen += [trial for trial in ordered if trial not in chosen][: places - len(chosen)]
    return [trial.trial for trial in sorted(chosen, key=worth, reverse=True)]


def places_of(rung: RungConfig, batch: int) -> int:
    """How many of a batch are trained on a rung."""
    return max(1, round(rung.share * batch))


def is_near(state: RunState, trial: Trial) -> bool:
    """Whether a trial meets every target and uses most of one."""
    used = [trial.latency_ms.get(device, 0.0) / target for device, target in state.targets_ms.items()]
    return state.meets_targets(trial.latency_ms) and max(used, default=0.0) >= NEAR


def ranked(state: RunState, rungs: Sequence[RungConfig]) -> list[dict[str, Any]]:
    """For each rung, how well what decided on it ranks those that were trained on the next, by its accuracy."""
    found = []
    for number, rung in enumerate(rungs, 1):
        both = [one for one in state.done() if one.repeats is None and {number, number - 1} <= one.rungs.keys()]
        both = [one for one in both if rung.by == "accuracy" or number - 1 in one.losses]
        measure = [-one.losses[number - 1] if rung.by == "loss" else one.rungs[number - 1] for one in both]
        tau = kendall_tau(measure, [one.rungs[number] for one in both]).tau if len(both) > 2 else math.nan
        entry = {"rung": number - 1, "by": rung.by, "tau": tau if math.isfinite(tau) else None, "trials": len(both)}
        found.append(entry)
    return found
