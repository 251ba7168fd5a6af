"""Everything a report says about a run, gathered once; the page, the text and the figures only lay it out.

A log is read once and in order. What a run has too much of to keep in memory (raw samples of thousands of trials) is
read only for the few networks that are shown one by one.
"""

from __future__ import annotations

import json
import math
import shlex
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from mnascli.errors import MnasError
from mnascli.intervals import wilson
from mnascli.report.words import ms, number
from mnascli.runs import (
    Event,
    EventReader,
    Overview,
    RunError,
    RunState,
    Trial,
    any_unsure,
    mark,
    read_meta,
    standing,
)
from mnascli.runs.directory import latency_file, trial_folder
from mnascli.runs.summary import comparison
from mnascli.runs.winner import proxy_seed, winner
from mnascli.schema import read_yaml
from mnascli.search.ranking import Tau, kendall_tau

FACTS = ("seed", "space_hash", "data_hash", "python", "platform")  # of meta.json
SHOWN_ONE_BY_ONE = 12  # networks whose raw samples are read


@dataclass(frozen=True)
class Measurement:
    """One trial on one device, as logged. Older logs have no `reference_ms`."""

    trial: int
    device: str
    latency_ms: float
    p5_ms: float
    p95_ms: float
    verdict: str
    file: str | None
    reference_ms: float | None
    is_stored: bool = False


@dataclass(frozen=True)
class Samples:
    """The raw runs of one network on one device, kept sessions only, and the conditions they were taken in."""

    name: str
    trial: int
    device: str
    samples_ms: tuple[float, ...]
    about: dict[str, Any]


class ProxyAndFull(NamedTuple):
    """A trial's accuracy after the search's short training, and after the long one (mean over seeds)."""

    trial: int
    proxy: float
    full: float


@dataclass(frozen=True)
class Full:
    """A network trained in full: its test accuracy (mean over seeds) on the headline's measure, with the 95 % interval
    for the number of its pictures; None if a log does not say how many there were."""

    name: str
    found: bool
    latency_ms: float
    test: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Failure:
    """Trials that failed in the same way."""

    stage: str
    kind: str
    trials: tuple[int, ...]
    reason: str  # of the first


@dataclass
class Content:
    """A run, read. `problems` lists what could not be read besides its log."""

    path: Path
    view: Overview = field(default_factory=Overview)
    measurements: list[Measurement] = field(default_factory=list)
    troubles: list[Event] = field(default_factory=list)  # devices that were lost, excluded, waited for
    target_why: str = ""
    resumed: int = 0
    meta: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    config_text: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def state(self) -> RunState:
        return self.view.state

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def condition(self) -> str:
        """Its state, and its phase unless it is finished."""
        word = standing(self.path, self.state)
        return word if word == "finished" else f"{word}, phase {self.state.phase}"

    @property
    def devices(self) -> list[str]:
        """Those with a target, in their order, then any others that were measured on."""
        return list(dict.fromkeys([*self.state.targets_ms, *(one.device for one in self.measurements)]))

    def winner(self) -> Trial | None:
        """The trial that the run ended with, or its best so far; None if none gave a result."""
        return winner(self.state)

    def front(self, device: str) -> list[Trial]:
        """The finished trials that no other beats in both accuracy and latency on a device, the fastest first."""
        return [self.state.trials[point.trial] for point in self.view.fronts.get(device, [])]

    def compared(self) -> list[dict[str, Any]]:
        """The winner and the networks beside it, the most accurate first; `images` are those of the test part."""
        rows = sorted(comparison(self.state), key=lambda row: -(row["test_mean"] or 0.0))
        images = {model: run.get("test_images") for (model, _), run in self.state.long_runs.items()}
        return [{**row, "images": images.get(row["model"])} for row in rows]

    def full(self, device: str) -> list[Full]:
        """The winner and what it was compared with, the most accurate first, if measured on a device."""
        return [
            Full(
                name=row["model"],
                found=row["trial"] is not None,
                latency_ms=row["latency_ms"][device],
                test=row["test_mean"],
                interval=wilson(row["test_mean"], row["images"]) if row["images"] else None,
            )
            for row in self.compared()
            if row["test_mean"] is not None and device in row["latency_ms"]
        ]

    def proxy_and_full(self) -> list[ProxyAndFull]:
        """Trials that had a short and a long training: those of `mnas runs validate`, else the finalists.

        The short one is evaluated on the validation part, so the long one is on the selection part, and a long one with
        the seed of the short one does not count: what both share proves nothing.
        """
        if self.state.validation is not None:
            return [
                ProxyAndFull(one["trial"], one["proxy"], one["full"]) for one in self.state.validation["candidates"]
            ]
        found: dict[int, list[float]] = {}
        for run in self.state.long_runs.values():
            trial = run.get("trial")
            if trial is not None and "selection" in run and run["seed"] != self._proxy_seed(trial):
                found.setdefault(trial, []).append(run["selection"])
        shorts = {number: self.state.trials[number].accuracy for number in sorted(found)}
        return [
            ProxyAndFull(number, short, statistics.fmean(found[number]))
            for number, short in shorts.items()
            if short is not None
        ]

    def _proxy_seed(self, trial: int) -> int:
        repeats = self.state.trials[trial].repeats
        first = trial if repeats is None else repeats
        return proxy_seed(int(self.config.get("seed", 0)), self.config.get("evaluator", ""), first)

    def proxy_tau(self) -> Tau | None:
        """How similarly the short and the long training rank the trials that had both; None if that is undefined."""
        if self.state.validation is not None:
            tau, p_value = self.state.validation["tau"], self.state.validation["p_value"]
            return None if tau is None else Tau(tau, p_value)
        pairs = self.proxy_and_full()
        tau = kendall_tau([pair.proxy for pair in pairs], [pair.full for pair in pairs])
        return None if math.isnan(tau.tau) else tau

    def failures(self) -> list[Failure]:
        """What failed, the most frequent first."""
        alike: dict[tuple[str, str], list[Trial]] = {}
        for trial in self.state.failed():
            failure = trial.failure or {}
            alike.setdefault((failure.get("stage", "?"), failure.get("kind", "?")), []).append(trial)
        groups = [
            Failure(stage, kind, tuple(one.trial for one in trials), (trials[0].failure or {}).get("reason", ""))
            for (stage, kind), trials in alike.items()
        ]
        return sorted(groups, key=lambda group: -len(group.trials))

    def device_rows(self) -> list[dict[str, Any]]:
        """What was measured on each device in the search: how much, how stable, how fast."""
        rows = []
        for device in self.devices:
            mine = [one for one in self.measurements if one.device == device]
            times = sorted(one.latency_ms for one in mine)
            rows.append(
                {
                    "device": device,
                    "target_ms": self.state.targets_ms.get(device),
                    "measured": len(mine),
                    "unstable": sum(one.verdict != "stable" for one in mine),
                    "stored": sum(one.is_stored for one in mine),
                    "fastest_ms": times[0] if times else None,
                    "median_ms": statistics.median(times) if times else None,
                    "slowest_ms": times[-1] if times else None,
                }
            )
        return rows

    def is_unsure(self) -> bool:
        """Whether a latency in the report is marked as uncertain."""
        shown = [*self.state.compared.values(), self.state.export or {}]
        verdicts = [one.get("verdict", {}) for one in shown]
        return any_unsure([*verdicts, *(trial.verdict for trial in self.state.trials.values())])

    def interval(self, trial: int, device: str) -> str:
        """A trial's latency on a device with its 5th and 95th percentile, in words."""
        one = self._by_trial.get((trial, device))
        if one is None:
            return "-"
        remark = ", from the store" if one.is_stored else ""
        return f"{mark(one.verdict)}{ms(one.latency_ms)} ({number(one.p5_ms)} to {number(one.p95_ms)}{remark})"

    @cached_property
    def _by_trial(self) -> dict[tuple[int, str], Measurement]:
        return {(one.trial, one.device): one for one in self.measurements}

    def command(self) -> str:
        """The command that started the run, as a shell takes it."""
        words = [str(word) for word in self.meta["command"]]
        return shlex.join([Path(words[0]).name, *words[1:]]) if words else ""

    def facts(self) -> list[tuple[str, str]]:
        """Seeds, hashes and versions that the run was made with."""
        facts = [(key.replace("_", " "), str(self.meta[key])) for key in FACTS if key in self.meta]
        versions = self.meta.get("versions")
        facts += [(str(name), str(one)) for name, one in versions.items()] if isinstance(versions, dict) else []
        devices = {one.device: one.about.get("fingerprint") for one in self.samples()}
        return facts + [(f"device {name}", str(fingerprint)) for name, fingerprint in devices.items()]

    def samples(self) -> list[Samples]:
        """Raw samples of the winner, the front and the best; what cannot be read is listed in `problems`."""
        return self._all_samples

    @cached_property
    def _all_samples(self) -> list[Samples]:
        winner = self.winner()
        wanted = {winner.trial: "found"} if winner else {}
        for device in self.devices:
            for trial in _spread(self.front(device), SHOWN_ONE_BY_ONE):
                wanted.setdefault(trial.trial, "front")
        for trial in self.state.ranking()[: max(0, SHOWN_ONE_BY_ONE - len(wanted))]:
            wanted.setdefault(trial.trial, "among the best")
        found = []
        for one in self.measurements:
            if one.trial in wanted and one.file is not None:
                samples = self._samples(one, f"trial {one.trial} ({wanted[one.trial]})")
                found += [samples] if samples else []
        return sorted(found, key=lambda one: (one.device, self.state.trials[one.trial].latency_ms[one.device]))

    def _samples(self, one: Measurement, name: str) -> Samples | None:
        file = self.path / (one.file or "")
        try:
            values = json.loads(file.read_bytes())
            samples = [float(ms) for session in values["sessions"] for ms in session["samples_ms"]]
            about = {key: values.get(key) for key in ("fingerprint", "setup", "runs", "verdict", "problem")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.problems.append(f"{file}: the raw samples cannot be read ({type(error).__name__})")
            return None
        return Samples(name, one.trial, one.device, tuple(samples), about)


def gather(path: Path) -> Content:
    """Read a run. Raises RunError for a damaged log, naming the line; anything else missing is in `problems`."""
    content = Content(path)
    reader = EventReader(path / "events.jsonl")
    try:
        for event in reader.read():
            content.view.apply(event)
            match event["event"]:
                case "measured":
                    content.measurements.append(_measurement(event))
                case "target_set":
                    content.target_why = str(event.get("why", ""))
                case "device_lost" | "device_set_aside" | "measuring_paused":
                    content.troubles.append(event)
                case "run_resumed":
                    content.resumed += 1
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"{path / 'events.jsonl'}: line {reader.line} does not fit what comes before it ({error!r}); "
            "put the file back from a copy, or cut it before that line"
        ) from error
    try:
        content.meta = read_meta(path)
    except MnasError as error:
        content.problems.append(str(error))
    try:
        content.config = read_yaml(path / "config.yaml")
        content.config_text = (path / "config.yaml").read_text(encoding="utf-8")
    except MnasError as error:
        content.problems.append(str(error))
    return content


def _measurement(event: dict[str, Any]) -> Measurement:
    reference = event.get("reference_ms")
    return Measurement(
        trial=event["trial"],
        device=event["device"],
        latency_ms=float(event["latency_ms"]),
        p5_ms=float(event["p5_ms"]),
        p95_ms=float(event["p95_ms"]),
        verdict=event["verdict"],
        file=str(latency_file(trial_folder(Path(), event["trial"]), event["device"])),
        reference_ms=None if reference is None else float(reference),
        is_stored=event.get("source") == "store",
    )


def _spread(trials: Iterable[Trial], count: int) -> list[Trial]:
    """At most `count` of them, evenly from first to last."""
    trials = list(trials)
    if len(trials) <= count:
        return trials
    return [trials[round(n * (len(trials) - 1) / (count - 1))] for n in range(count)]
