"""The state of a run: a fold over its events, and nothing else.

The engine resumes from it, the monitor and the report show it. The kinds of events and their keys: events.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from mnascli.runs.events import TRIAL_EVENTS
from mnascli.runs.log import Event

# The state of a device after each event about it.
DEVICE_STATES = {"device_lost": "lost", "device_back": "ready", "device_set_aside": "set aside"}


@dataclass(slots=True)
class Trial:
    """What is known about one candidate; times are in seconds since the epoch.

    `stored` has, by device, when a latency that is from the store was measured.
    `state`: asked, running, done, hopeless (measured as too slow to be trained) or failed. `network` is the same for
    architectures with the same layers, '' in older logs; `repeats` is the earlier trial that the results are from.
    `rungs` has its accuracy and `losses` its mean training loss by rung, `rung_failures` why a rung gave neither;
    `is_estimated` once the searcher's estimate of it is in the log.
    """

    trial: int
    step: int
    architecture: str
    state: str = "asked"
    accuracy: float | None = None
    latency_ms: dict[str, float] = field(default_factory=dict)
    verdict: dict[str, str] = field(default_factory=dict)
    stored: dict[str, float] = field(default_factory=dict)
    reward: float | None = None
    history: list[float] = field(default_factory=list)
    failure: dict[str, str] | None = None
    began: float | None = None
    ended: float | None = None
    network: str = ""
    repeats: int | None = None
    losses: dict[int, float] = field(default_factory=dict)
    rungs: dict[int, float] = field(default_factory=dict)
    rung_failures: dict[int, str] = field(default_factory=dict)
    is_estimated: bool = False

    @property
    def rung(self) -> int:
        """The highest that it was trained on; 0 is the short training of all."""
        return max(self.rungs, default=0)

    @property
    def finished(self) -> bool:
        return self.state in ("done", "hopeless", "failed")


@dataclass
class DeviceState:
    """A device of the run; `device` is the name of its latencies. `state`: ready, lost or set aside.

    `losses` counts how often it disappeared, `measured` the latencies measured on it.
    """

    device: str
    serial: str
    profile: str = ""
    name: str = ""
    asked: str = ""
    state: str = "ready"
    reason: str = ""
    losses: int = 0
    measured: int = 0


_DEVICE_KEYS = {one.name for one in fields(DeviceState)}


@dataclass
class RunState:
    """Everything a run's log says, folded. `apply` takes the next event."""

    trials: dict[int, Trial] = field(default_factory=dict)
    phase: str = "new"
    step: int = -1
    searcher_file: str | None = None
    batch: list[Trial] = field(default_factory=list)  # the trials of the last step, in the order they were asked for
    devices: dict[str, DeviceState] = field(default_factory=dict)  # by serial
    paused: dict[str, str] = field(default_factory=dict)  # why nothing is measured, by `DeviceState.device`
    targets_ms: dict[str, float] = field(default_factory=dict)
    objective: str = "soft"  # its kind
    references: dict[str, dict[str, Any]] = field(default_factory=dict)
    sweep_tried: dict[int, dict[str, Any]] = field(default_factory=dict)  # by number
    swept: dict[str, Any] | None = None
    modelled: set[str] = field(default_factory=set)  # devices that have a latency model
    supernet_epochs: int = 0  # that the supernet was trained for, so far
    known: dict[str, Trial] = field(default_factory=dict)  # done and hopeless ones, the first of each `Trial.network`
    long_runs: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)  # by model and seed
    long_failures: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    chosen: int | None = None  # the winner's trial, see runs/winner.py
    finalists: list[int] = field(default_factory=list)  # the trials that it was chosen from
    compared: dict[str, dict[str, Any]] = field(default_factory=dict)  # the winner and its baselines
    lead: dict[str, dict[str, Any]] | None = None  # of the winner over each baseline, by its model
    validation: dict[str, Any] | None = None
    export: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)
    failures_alike: int = 0  # failures of one stage and kind in a row, up to the last event
    last_failure: tuple[str, str] | None = None
    promoted: dict[tuple[int, int], list[int]] = field(default_factory=dict)  # trials by step and rung
    rungs_ranked: list[dict[str, Any]] = field(default_factory=list)
    trials_wanted: int | None = None  # given to a resumed search, over its configuration
    worst_accuracy: float | None = None  # of the done trials
    _gains: dict[int, tuple[int, float]] = field(default_factory=dict)  # by rung: pairs, sum of differences
    stopped: str | None = None
    is_finished: bool = False
    began: float | None = None
    last_time: float | None = None

    def apply(self, event: Event) -> None:
        """Fold one event in. Events of unknown kinds (a newer mnas wrote them) change nothing."""
        self.began = self.began if self.began is not None else event["time"]
        self.last_time = event["time"]
        kind = event["event"]
        if kind in ("run_started", "run_resumed"):
            if self.stopped is not None and self.chosen is None:
                self.long_failures = {}  # none was left to win: the cause may be fixed, so they are tried again
            self.stopped, self.is_finished, self.failures_alike, self.paused = None, False, 0, {}
            self.trials_wanted = event.get("trials", self.trials_wanted)
        elif kind == "phase":
            self.phase = event["phase"]
        elif kind == "devices_opened":
            self.devices |= {one["serial"]: self._opened(one) for one in event["devices"]}
        elif kind in DEVICE_STATES:
            device = self.devices[event["serial"]]
            device.state, device.reason = DEVICE_STATES[kind], event.get("reason", "")
            device.losses += kind == "device_lost"
        elif kind == "measuring_paused":
            self.paused[event["device"]] = event["reason"]
        elif kind == "measuring_resumed":
            self.paused.pop(event["device"], None)
        elif kind == "reference_measured":
            self.references[event["model"]] = _body(event)
        elif kind == "target_set":
            self.targets_ms = dict(event["target_ms"])
            self.objective = event.get("objective", "soft")  # older logs do not say
        elif kind == "sweep_tried":
            self.sweep_tried[event["number"]] = _body(event)
        elif kind == "swept":
            self.swept = _body(event)
        elif kind == "latency_modelled":
            self.modelled.add(event["device"])
        elif kind == "supernet_epoch":
            self.supernet_epochs = event["epoch"]
        elif kind == "asked":
            self.step, self.searcher_file = event["step"], event["searcher"]
            self.batch = [
                Trial(one["trial"], event["step"], one["architecture"], network=one.get("network", ""))
                for one in event["trials"]
            ]
            self.trials |= {trial.trial: trial for trial in self.batch}
        elif kind in TRIAL_EVENTS:
            self._apply_to_trial(self.trials[event["trial"]], event)
        elif kind == "promoted":
            self.promoted[event["step"], event["rung"]] = list(event["trials"])
        elif kind == "rungs_ranked":
            self.rungs_ranked = list(event["rungs"])
        elif kind == "long_trained":
            self.long_runs[event["model"], event["seed"]] = _body(event)
        elif kind == "long_failed":
            self.long_failures[event["model"], event["seed"]] = _body(event)
        elif kind == "winner_chosen":
            self._choose(event["trial"])
            self.finalists = list(event["finalists"])
        elif kind == "compared":
            if event["trial"] is not None:
                self._choose(event["trial"])  # an older log has no `winner_chosen`
            self.compared[event["model"]] = _body(event)
        elif kind == "lead_told":
            self.lead = {one["model"]: dict(one) for one in event["baselines"]}
        elif kind == "validated":
            self.validation = _body(event)
        elif kind == "warned":
            self.warnings.append(event["message"])
        elif kind == "exported":
            if self.chosen is None:  # an older log, of a run that compared with nothing
                self.chosen = event["trial"]
            self.export = _body(event)
        elif kind == "run_stopped":
            self.stopped = event["reason"]
        elif kind == "run_finished":
            self.is_finished = True

    def _choose(self, trial: int) -> None:
        """The winner is `trial`; what was made for another one no longer counts."""
        if self.chosen != trial:
            self.chosen, self.compared, self.lead, self.export = trial, {}, None, None

    def _opened(self, values: dict[str, Any]) -> DeviceState:
        """A device as `devices_opened` has it, without keys of other versions; its earlier counts are kept."""
        device = DeviceState(**{key: value for key, value in values.items() if key in _DEVICE_KEYS})
        if known := self.devices.get(device.serial):
            device.losses, device.measured = known.losses, known.measured
        return device

    def _apply_to_trial(self, trial: Trial, event: Event) -> None:
        match event["event"]:
            case "started":
                trial.state, trial.began = "running", event["time"]
            case "measured":
                trial.latency_ms[event["device"]] = event["latency_ms"]
                trial.verdict[event["device"]] = event["verdict"]
                if event.get("source") == "store":
                    trial.stored[event["device"]] = event["measured_at"]
                if (device := self.devices.get(event.get("serial", ""))) and event.get("source") != "store":
                    device.measured += 1
            case "predicted":
                trial.latency_ms[event["device"]], trial.verdict[event["device"]] = event["latency_ms"], "predicted"
            case "remeasured":
                trial.latency_ms, trial.verdict = dict(event["latency_ms"]), dict(event["verdict"])
                trial.stored = dict(event.get("stored", {}))
                trial.reward = event["reward"]
            case "trained":
                trial.accuracy, trial.history = event["accuracy"], list(event["history"])
                self._climbed(trial, 0, event)
            case "rung_trained":
                self._climbed(trial, event["rung"], event)
            case "rung_failed":
                trial.rung_failures[event["rung"]] = event["reason"]
            case "estimated":
                trial.reward, trial.is_estimated = event["reward"], True
            case "done":
                self.failures_alike = 0
                trial.state, trial.reward, trial.ended = "done", event["reward"], event["time"]
                self._remember(trial)
                if trial.accuracy is not None:
                    worst = self.worst_accuracy
                    self.worst_accuracy = trial.accuracy if worst is None else min(worst, trial.accuracy)
            case "hopeless":
                trial.state, trial.ended = "hopeless", event["time"]
                self._remember(trial)
            case "repeated":
                known = self.trials[event["of"]]
                trial.state, trial.accuracy, trial.reward = known.state, known.accuracy, known.reward
                trial.latency_ms, trial.verdict = dict(known.latency_ms), dict(known.verdict)
                trial.stored = dict(known.stored)
                trial.history, trial.ended, trial.repeats = known.history, event["time"], known.trial
                trial.losses, trial.rungs = dict(known.losses), dict(known.rungs)
            case "failed":
                trial.state, trial.ended = "failed", event["time"]
                trial.failure = {key: event[key] for key in ("stage", "kind", "reason")}
                alike = self.last_failure == (event["stage"], event["kind"])
                self.failures_alike = self.failures_alike + 1 if alike else 1
                self.last_failure = (event["stage"], event["kind"])

    def _climbed(self, trial: Trial, rung: int, event: Event) -> None:
        """What a training on a rung gave; with the rung below it is a pair that says how much the longer one adds."""
        trial.rungs[rung] = event["accuracy"]
        if event.get("loss") is not None:
            trial.losses[rung] = event["loss"]
        if rung - 1 in trial.rungs:
            pairs, total = self._gains.get(rung, (0, 0.0))
            self._gains[rung] = pairs + 1, total + trial.rungs[rung] - trial.rungs[rung - 1]

    def by_rung(self) -> dict[int, list[int]]:
        """The trials that were promoted to each rung, in their order."""
        found: dict[int, list[int]] = {}
        for (_, rung), trials in self.promoted.items():
            found.setdefault(rung, []).extend(trials)
        return {rung: sorted(trials) for rung, trials in sorted(found.items())}

    def estimate(self, trial: Trial) -> float | None:
        """What its accuracy on the highest rung would be: its own on its highest, and for each rung above the mean
        gain of those that were trained on both. Without rungs it is the accuracy; None before there is one."""
        if trial.accuracy is None:
            return None
        gains = [total / pairs for rung, (pairs, total) in self._gains.items() if rung > trial.rung]
        return trial.rungs.get(trial.rung, trial.accuracy) + sum(gains)

    def _remember(self, trial: Trial) -> None:
        if trial.network:
            self.known.setdefault(trial.network, trial)

    def done(self) -> list[Trial]:
        return [trial for trial in self.trials.values() if trial.state == "done"]

    def hopeless(self) -> list[Trial]:
        return [trial for trial in self.trials.values() if trial.state == "hopeless"]

    def failed(self) -> list[Trial]:
        return [trial for trial in self.trials.values() if trial.state == "failed"]

    def ranking(self) -> list[Trial]:
        """Finished trials, the best first: those that meet every target by accuracy, then the others by reward.

        Only the first trial of a network counts, even if it was proposed again. The absolute reward aims at the target
        itself, and not well below it: there the reward ranks all trials.
        """
        return sorted((one for one in self.done() if one.repeats is None), key=self.rank, reverse=True)

    def rank(self, trial: Trial) -> tuple[bool, float, int]:
        """The key that `ranking` sorts by: the greater, the better."""
        meets = self.meets_targets(trial.latency_ms)
        by_accuracy = meets and self.objective != "absolute"
        return meets, (self.estimate(trial) if by_accuracy else trial.reward) or 0.0, -trial.trial

    def best(self) -> Trial | None:
        """The first of `ranking`, None where no trial is done."""
        return next(iter(self.ranking()), None)

    def meets_targets(self, latency_ms: dict[str, float], tolerance: float = 0.0) -> bool:
        """Whether latencies (ms by device) are within the run's targets, `tolerance` being a fraction of them."""
        return all(
            device in latency_ms and latency_ms[device] <= target * (1 + tolerance)
            for device, target in self.targets_ms.items()
        )


def fold(events: Iterable[Event]) -> RunState:
    """The state after all the events."""
    state = RunState()
    for event in events:
        state.apply(event)
    return state


def _body(event: Event) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in ("v", "time", "event")}
