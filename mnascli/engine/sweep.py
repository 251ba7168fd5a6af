"""Learning rate and batch norm momentum by a short sweep on plain skeletons of the space, before the search.

No one can guess them for pictures of their own, and they decide whether a search can find anything: with a learning
rate that is too low, larger networks have no lead over smaller ones after a short training.
"""

from __future__ import annotations

import itertools
import statistics
from typing import Any

from mnascli.engine.children.executor import Finished, Task, TaskFailed
from mnascli.engine.children.work import train_candidate
from mnascli.engine.config import Config
from mnascli.engine.opening import Search
from mnascli.errors import MnasError
from mnascli.runs.directory import output_file


def sweep(search: Search) -> None:
    """Try what the log does not have yet, choose, and let the search continue with the choice.

    Raises MnasError if every training failed.
    """
    run, config = search.run, search.config
    if not config.sweep.learning_rates:
        return
    if run.state.swept is None:
        run.enter("sweep")
        _try(search)
        tried = list(run.state.sweep_tried.values())
        best = choose(tried)
        if best is None:
            reason = f"the sweep found no learning rate that trains: the last failed with: {tried[-1]['reason']}"
            run.append("run_stopped", reason=f"{reason}; try lower ones under sweep: learning_rates")
            raise MnasError(run.state.stopped or reason)
        learning_rate, momentum = best
        run.append("swept", learning_rate=learning_rate, batch_norm_momentum=momentum)
    search.config = config.after_sweep(run.state.swept)


def wanted(config: Config) -> list[dict[str, Any]]:
    """Every training of the sweep, in its order: skeleton, learning_rate, batch_norm_momentum."""
    settings = config.sweep
    momentums = settings.batch_norm_momentums or (config.proxy.batch_norm_momentum,)
    grid = itertools.product(settings.skeletons, settings.learning_rates, momentums)
    return [dict(zip(("skeleton", "learning_rate", "batch_norm_momentum"), one, strict=True)) for one in grid]


def choose(tried: list[dict[str, Any]]) -> tuple[float, float] | None:
    """The learning rate and momentum of the best mean accuracy; a skeleton that did not train counts as 0.

    Of equals the first. None if nothing trained.
    """
    groups: dict[tuple[float, float], list[float]] = {}
    for one in tried:
        groups.setdefault((one["learning_rate"], one["batch_norm_momentum"]), []).append(one["accuracy"] or 0.0)
    best = max(groups, key=lambda pair: statistics.mean(groups[pair]))
    return best if any(groups[best]) else None


def _try(search: Search) -> None:
    run, config = search.run, search.config
    all_of_it = wanted(config)
    tasks = []
    for number, one in enumerate(all_of_it):
        if number in run.state.sweep_tried:
            continue
        values = {key: one[key] for key in ("learning_rate", "batch_norm_momentum")}
        recipe = config.proxy.model_copy(update={**values, "epochs": config.sweep.epochs})
        arguments = {
            "architecture": str(search.space.baseline(one["skeleton"])),
            "data": search.data,
            "recipe": recipe,
            "seed": config.seed,
        }
        folder = run.path / "sweep" / f"{number:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        tasks.append(Task(number, train_candidate, arguments, output_file(folder), timeout_s=config.trial_timeout_s))
    for event in search.executor.map(tasks):
        if isinstance(event, Finished):
            run.append(
                "sweep_tried", number=event.key, **all_of_it[event.key], accuracy=event.value["accuracy"], reason=""
            )
        elif isinstance(event, TaskFailed):
            run.append("sweep_tried", number=event.key, **all_of_it[event.key], accuracy=None, reason=event.reason)
