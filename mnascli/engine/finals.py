"""After the search: the finalists are trained in full, one wins, and is compared with published networks.

A long training that fails is marked as failed in the log, with its reason, and not tried again: the next trial takes a
finalist's place, and a network to compare with is omitted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mnascli.engine import shared_weights, validation
from mnascli.engine.benches.bench import Bench
from mnascli.engine.children.executor import Finished, Task, TaskFailed
from mnascli.engine.children.work import train_fully
from mnascli.engine.opening import Search
from mnascli.engine.predicting import PREDICTED
from mnascli.engine.rungs import is_near
from mnascli.engine.targets import of_model, scale_to_latency
from mnascli.errors import MnasError, NoDeviceError
from mnascli.runs import Trial
from mnascli.runs.directory import output_file
from mnascli.runs.winner import choose, name_of, proxy_seed
from mnascli.space import Architecture, count, network_id
from mnascli.training.lead import paired_lead


@dataclass(frozen=True)
class Entry:
    """A network to train in full; `trial` is None for a published one. `model` is its name in log and folders."""

    model: str
    architecture: str
    trial: int | None = None

    @classmethod
    def of(cls, trial: Trial) -> Entry:
        return cls(name_of(trial.trial), trial.architecture, trial.trial)


def choose_winner(search: Search) -> Trial:
    """Train the best few in full; the winner is the one that meets the targets and is best on the selection part.

    The search never saw that part: the validation part would favour trials that were lucky on it, and no test picture
    is used. Finalists from before more trials were asked for are still finalists. Raises MnasError if none is left.
    """
    run, seed = search.run, search.config.seed
    if run.state.phase == "search":
        run.enter("finalists")
    while True:
        finalists = _finalists(search)
        if not finalists:
            _stop(search)
        train_in_full(search, [(Entry.of(one), seed) for one in finalists])
        trained = [one for one in finalists if (name_of(one.trial), seed) in run.state.long_runs]
        if len(trained) == len(finalists):
            break
    winner = choose(run.state, finalists, seed)
    chosen_from = sorted(one.trial for one in finalists)
    if (winner.trial, chosen_from) != (run.state.chosen, run.state.finalists):
        run.append("winner_chosen", trial=winner.trial, finalists=chosen_from)
    return winner


def _finalists(search: Search) -> list[Trial]:
    """The best trials of different networks, and those that were finalists before; none whose training failed."""
    state, seed = search.run.state, search.config.seed
    failed = {model for model, of_seed in state.long_failures if of_seed == seed}
    chosen = {one: state.trials[one] for one in state.finalists if name_of(one) not in failed}
    networks, places = set[str](), search.config.final.finalists
    able = [
        one for one in state.ranking() if PREDICTED not in one.verdict.values() and name_of(one.trial) not in failed
    ]
    # Those near the target take half of the places, if there are so many: short trainings like small networks.
    near = [trial for trial in able if is_near(state, trial)][: math.ceil(places / 2)]
    for trial in [*near, *able]:
        if not places:
            break
        network = trial.network or network_id(Architecture.parse(trial.architecture))
        if network not in networks:
            networks.add(network)
            chosen[trial.trial] = trial
            places -= 1
    return list(chosen.values())


def _stop(search: Search) -> None:
    run = search.run
    failures = [one["reason"] for one in run.state.long_failures.values() if one["trial"] is not None]
    if not failures:
        raise MnasError(f"{run.path}: no trial gave a result; see the failures with `mnas runs show {run.path.name}`")
    reason = (
        f"the full trainings of all {len(failures)} finalists failed, the last with: {failures[-1]}; see "
        f"{run.path / 'trained'}, fix it and --resume {run.path}"
    )
    run.append("run_stopped", reason=reason)
    raise MnasError(reason)


def compare(search: Search, winner: Trial) -> None:
    """The winner beside published networks scaled to its latency, trained the same way and measured in one batch.

    The winner of a supernet begins with its share of it, if finalists do; the published ones begin with new weights.
    What the log already has for this winner is not done again.
    """
    run, config = search.run, search.config
    if run.state.phase == "finalists":
        run.enter("compare")
    compared = run.state.compared
    entries = [Entry(one["model"], one["architecture"], one["trial"]) for one in compared.values()]
    if len(entries) < 1 + len(config.final.compare):
        baselines = (_scaled(search, model, winner) for model in config.final.compare)
        entries = [Entry.of(winner), *(one for one in baselines if one is not None)]
        if not {one.model for one in entries} <= compared.keys():
            _measure_together(search, entries)
    train_in_full(search, [(entry, config.seed + n) for n in range(config.final.seeds) for entry in entries])
    if run.state.lead is None:
        _tell_lead(search, entries)


def _scaled(search: Search, model: str, winner: Trial) -> Entry | None:
    """A published network at the winner's latency; None, with a warning in the log, if it cannot be measured."""
    bench = search.benches[0]
    known = next((one for name, one in search.run.state.compared.items() if name.startswith(f"{model} ")), None)
    if known is not None:
        return Entry(known["model"], known["architecture"])
    try:
        width, architecture = scale_to_latency(bench, search.space, model, winner.latency_ms[bench.name])
    except NoDeviceError:
        raise
    except MnasError as error:
        search.run.warn(f"{model} is omitted from the comparison: {error}")
        return None
    return Entry(f"{model} x{width:g}", str(architecture))


def _measure_together(search: Search, entries: Sequence[Entry]) -> None:
    architectures = [Architecture.parse(entry.architecture) for entry in entries]
    by_device = {
        bench.name: [
            of_model(result, entry.model)
            for entry, result in zip(entries, fresh(bench).measure(architectures), strict=True)
        ]
        for bench in search.benches
    }
    for index, entry in enumerate(entries):
        cost = count(architectures[index])
        search.run.append(
            "compared",
            model=entry.model,
            architecture=entry.architecture,
            trial=entry.trial,
            latency_ms={device: measured[index].median_ms for device, measured in by_device.items()},
            verdict={device: measured[index].verdict for device, measured in by_device.items()},
            parameters=cost.parameters,
            multiply_adds=cost.multiply_adds,
        )


def _tell_lead(search: Search, entries: Sequence[Entry]) -> None:
    """Log how much more accurate the winner is than what it is compared with, on the test part."""
    found, *others = entries
    labels = search.dataset.test.labels
    right = {entry.model: _right(search, entry, labels) for entry in entries}
    baselines = []
    for entry in others:
        seeds = sorted(right[found.model].keys() & right[entry.model].keys())
        if seeds:
            lead = paired_lead(*(np.stack([right[one.model][seed] for seed in seeds]) for one in (found, entry)))
            values = {"points": lead.points, "interval": lead.interval, "seeds": len(seeds), "images": len(labels)}
            baselines.append({"model": entry.model, **values})
    search.run.append("lead_told", baselines=baselines)


def _right(search: Search, entry: Entry, labels: Any) -> dict[int, Any]:
    """Which test pictures (images,) each full training gets right, by seed; older runs kept no predictions."""
    return {
        seed: np.load(search.run.path / long_run["predictions"], allow_pickle=False) == labels
        for (model, seed), long_run in search.run.state.long_runs.items()
        if model == entry.model and "predictions" in long_run
    }


def validate_proxy(search: Search, candidates: int, labels: int = validation.LABELS) -> dict[str, Any]:
    """Train a spread of trials in full, each `labels` times unless already trained: did the proxy rank?

    Raises MnasError if too few candidates, or too few of their full trainings, gave a result.
    """
    state, config = search.run.state, search.config
    chosen = validation.spread(state, candidates)
    seeds = {
        one.trial: validation.label_seeds(config.seed, proxy_seed(config.seed, config.evaluator, one.trial), labels)
        for one in chosen
    }
    train_in_full(search, [(Entry.of(one), seed) for one in chosen for seed in seeds[one.trial]])
    trained = [one for one in chosen if all((name_of(one.trial), n) in state.long_runs for n in seeds[one.trial])]
    if len(trained) < validation.FEWEST:
        raise MnasError(
            f"full trainings of {len(chosen) - len(trained)} of {len(chosen)} candidates failed: {len(trained)} are "
            f"too few to judge whether the proxy ranks; see {search.run.path / 'trained'}"
        )
    outcome = validation.judge(state, trained, seeds, len(search.dataset.selection.labels))
    search.run.append("validated", **outcome)
    return outcome


def train_in_full(search: Search, wanted: Sequence[tuple[Entry, int]]) -> None:
    """Run the long trainings, each of an entry and a seed, that the log does not have yet, several at once."""
    run = search.run
    known = run.state.long_runs.keys() | run.state.long_failures.keys()
    missing = [(entry, seed) for entry, seed in wanted if (entry.model, seed) not in known]
    inherited = shared_weights.inherited(run, search.config, search.space)
    tasks = []
    for key, (entry, seed) in enumerate(missing):
        folder = run.path / "trained" / f"{entry.model.replace(' ', '-')}-seed{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        arguments = {
            "architecture": entry.architecture,
            "data": search.data,
            "recipe": search.config.final.recipe,
            "seed": seed,
            "folder": folder,
            "supernet": inherited if entry.trial is not None else None,
        }
        tasks.append(Task(key, train_fully, arguments, output_file(folder)))
    for event in search.executor.map(tasks):
        if not isinstance(event, Finished | TaskFailed):
            continue
        entry, seed = missing[event.key]
        about = {"model": entry.model, "architecture": entry.architecture, "trial": entry.trial, "seed": seed}
        if isinstance(event, TaskFailed):
            run.append("long_failed", **about, kind=event.kind, reason=event.reason)
            continue
        files = {key: str(Path(event.value[key]).relative_to(run.path)) for key in ("checkpoint", "predictions")}
        run.append("long_trained", **about, **{**event.value, **files})


def fresh(bench: Bench) -> Bench:
    """The same bench without its store: everything is measured now."""
    return replace(bench, store=None)
