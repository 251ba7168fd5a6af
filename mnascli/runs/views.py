"""What the faces of a run show, accumulated event by event, so that nothing is computed over all trials again.

`Overview` folds the events into a `RunState` and also into what a progress line, a terminal view or a report shows
about many trials: counts, the best, the Pareto front of each device, rewards with their moving mean, rate and time
left. An event costs O(log n) at most.
"""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import log
from typing import Any, NamedTuple

from mnascli.runs.events import EVENTS
from mnascli.runs.log import Event
from mnascli.runs.state import RunState, Trial

MEAN_OVER = 20  # trials: the window of the moving mean of rewards
RATE_OVER = 40  # trials, or long trainings: the window of the rate; of batches, the fewest that hold so many
NOTABLE_KEPT = 1000
LATENCIES_KEPT = 400


class Point(NamedTuple):
    """A finished trial on the accuracy-latency plane of one device."""

    latency_ms: float
    accuracy: float
    trial: int


@dataclass
class DeviceView:
    """What the log says about a device, or a pool of devices of one kind, in addition to `RunState.devices`.

    `stored` counts latencies that were looked up and not measured. `reference_ms` is the reference model's normal time
    in the last measurement, `fastest_reference_ms` its fastest in any. `notice` is the last event about it of an
    unknown kind (a newer mnas wrote it), None once a measurement has come in after it.
    """

    name: str
    measured: int = 0
    unstable: int = 0
    stored: int = 0
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))
    last_trial: int | None = None
    last_time: float | None = None
    reference_ms: float | None = None
    fastest_reference_ms: float | None = None
    notice: Event | None = None

    @property
    def drift(self) -> float | None:
        """`drift` of the last measurement."""
        return drift(self.reference_ms, self.fastest_reference_ms)


@dataclass(frozen=True)
class Plan:
    """How much there is to do: trials of the search, long trainings after it."""

    trials: int
    long_runs: int
    batch: int = 1
    supernet_epochs: int = 0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Plan:
        """The plan in a run's config.yaml, which is already read. Raises KeyError or TypeError if it has none."""
        final = config["final"]
        long_runs = final["finalists"] + final["seeds"] * (1 + len(final["compare"])) - 1
        epochs = config["supernet"]["recipe"]["epochs"] if config.get("evaluator") == "supernet" else 0
        return cls(int(config["trials"]), int(long_runs), int(config["batch"]), int(epochs))


@dataclass
class Overview:
    """A run's state and its accumulated views. `rewards` are (trial, reward) and `means` their moving mean, both in the
    order in which trials were done; `fronts` are by device, the fastest point first."""

    state: RunState = field(default_factory=RunState)
    done: int = 0
    hopeless: int = 0
    failed: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    best_by_proxy: Trial | None = None
    rewards: list[tuple[int, float]] = field(default_factory=list)
    means: list[float] = field(default_factory=list)
    fronts: dict[str, list[Point]] = field(default_factory=dict)
    points: dict[str, list[Point]] = field(default_factory=dict)
    devices: dict[str, DeviceView] = field(default_factory=dict)
    probabilities: dict[str, dict[str, float]] = field(default_factory=dict)
    entropies: list[tuple[int, float]] = field(default_factory=list)  # (step, entropy), see `entropy`
    notable: deque[Event] = field(default_factory=lambda: deque(maxlen=NOTABLE_KEPT))
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=MEAN_OVER))
    _ends: deque[float] = field(default_factory=lambda: deque(maxlen=RATE_OVER))
    _asked: deque[tuple[float, int]] = field(default_factory=deque)  # per batch: time, trials finished before

    @property
    def best(self) -> Trial | None:
        """The winner; before there is one, the best so far by proxy. `winner` gives the same from a state alone."""
        return self.best_by_proxy if self.state.chosen is None else self.state.trials[self.state.chosen]

    @property
    def finished(self) -> int:
        """Trials done, hopeless or failed."""
        return self.done + self.hopeless + self.failed

    def apply(self, event: Event) -> None:
        """Fold the next event in. Raises KeyError, TypeError or ValueError for one that does not fit the others."""
        self.state.apply(event)
        kind = event["event"]
        if kind in ("started", "trained", "predicted"):
            return
        if kind == "repeated":
            kind = self.state.trials[event["trial"]].state  # it is now in the state of the earlier one
        if kind == "measured":
            self._measured(event)
        elif kind == "done":
            self._done(self.state.trials[event["trial"]])
            self._ends.append(event["time"])
        elif kind == "estimated":
            self._may_be_best(self.state.trials[event["trial"]])
        elif kind == "rungs_ranked":
            self.best_by_proxy = self.state.best()  # estimates of earlier trials have moved since
        elif kind == "remeasured":
            self._remeasured(self.state.trials[event["trial"]])
        elif kind == "hopeless":
            self.hopeless += 1
            self._ends.append(event["time"])
        elif kind == "learned":
            self.probabilities = event["probabilities"]
            self.entropies.append((event["step"], entropy(self.probabilities)))
        elif kind == "asked":
            self._batch(event)
        else:
            self._notable(event)

    def progress(self, plan: Plan) -> tuple[int, int] | None:
        """(done, of how many) in the current phase; None if the phase has nothing to count."""
        if self.state.phase == "search":
            return self.finished, max(self.state.trials_wanted or plan.trials, len(self.state.trials))
        if self.state.phase == "supernet":
            return self.state.supernet_epochs, max(plan.supernet_epochs, self.state.supernet_epochs)
        if self.state.phase in ("finalists", "compare"):
            done = len(self.state.long_runs)
            return done, max(plan.long_runs, done)
        return None

    def per_hour(self) -> float | None:
        """Recent trials (or long trainings) per hour in the current phase; None before the rate is known."""
        if self._has_batches():
            (first_s, before), (last_s, then) = self._asked[0], self._asked[-1]
            return 3600 * (then - before) / (last_s - first_s)
        if len(self._ends) < 2 or self._ends[-1] <= self._ends[0]:
            return None
        return 3600 * (len(self._ends) - 1) / (self._ends[-1] - self._ends[0])

    def left_s(self, plan: Plan, now: float | None = None) -> float | None:
        """Seconds to the end of the phase, from the last event or from `now`, the later; None if that is not known.

        The trials of a batch end in bursts, after all of it was measured: their rate within it says little. So whole
        batches count, from one request to the next; in the first batch, and for long trainings, what has ended so far.
        """
        progress = self.progress(plan)
        if progress is None or self.state.is_finished or not self._ends:
            return None
        now = max(self.state.last_time or 0.0, now or 0.0)
        left = progress[1] - progress[0]
        if self._has_batches():
            (first_s, before), (last_s, then) = self._asked[0], self._asked[-1]
            each_s = (last_s - first_s) / (then - before)
            spent_s, batch = now - last_s, len(self.state.batch)
            if spent_s > each_s * batch:  # slower than those before
                each_s = (now - first_s) / (then + batch - before)
            in_flight_s = 0.0 if self.finished >= then + batch else max(0.0, each_s * batch - spent_s)
            return in_flight_s + each_s * max(0, progress[1] - then - batch)
        ended = len(self._ends) - 1
        return (now - self._ends[0]) / ended * left if ended else None

    def waiting(self, device: str) -> int:
        """Trials of the last batch that this device has not measured yet: its queue."""
        return sum(not trial.finished and device not in trial.latency_ms for trial in self.state.batch)

    def _has_batches(self) -> bool:
        """Whether a batch was finished and the next one asked for, so that they show how long a trial takes."""
        return bool(self._asked) and self._asked[-1][0] > self._asked[0][0] and self._asked[-1][1] > self._asked[0][1]

    def _batch(self, event: Event) -> None:
        while len(self._asked) > 1 and self.finished - self._asked[1][1] >= RATE_OVER:
            self._asked.popleft()
        self._asked.append((event["time"], self.finished))

    def _measured(self, event: Event) -> None:
        view = self._device(event["device"])
        if event.get("source") == "store":
            view.stored += 1
        else:
            view.measured += 1
        view.unstable += event["verdict"] != "stable"
        view.latencies_ms.append(event["latency_ms"])
        view.last_trial, view.last_time, view.notice = event["trial"], event["time"], None
        view.reference_ms = event.get("reference_ms")  # older logs have none
        known = [ms for ms in (view.reference_ms, view.fastest_reference_ms) if ms]
        view.fastest_reference_ms = min(known, default=None)

    def _done(self, trial: Trial) -> None:
        self.done += 1
        self._may_be_best(trial)
        if trial.reward is not None:
            self._recent.append(trial.reward)
            self.rewards.append((trial.trial, trial.reward))
            self.means.append(sum(self._recent) / len(self._recent))
        for device, latency_ms in trial.latency_ms.items():
            if trial.accuracy is not None:
                point = Point(latency_ms, trial.accuracy, trial.trial)
                self.points.setdefault(device, []).append(point)
                add_to_front(self.fronts.setdefault(device, []), point)

    def _may_be_best(self, trial: Trial) -> None:
        best = self.best_by_proxy
        if trial.repeats is None and (best is None or self.state.rank(trial) > self.state.rank(best)):
            self.best_by_proxy = trial

    def _remeasured(self, trial: Trial) -> None:
        """Move its point; what it had beaten may be on the front again, and another trial may be the best."""
        self.best_by_proxy = self.state.best()
        for device, latency_ms in trial.latency_ms.items():
            others = [point for point in self.points.get(device, []) if point.trial != trial.trial]
            self.points[device] = [*others, Point(latency_ms, trial.accuracy or 0.0, trial.trial)]
            self.fronts[device] = []
            for point in self.points[device]:
                add_to_front(self.fronts[device], point)

    def _notable(self, event: Event) -> None:
        self.notable.append(event)
        match event["event"]:
            case "failed":
                self.failed += 1
                self.failures[f"{event['stage']}: {event['kind']}"] += 1
                self._ends.append(event["time"])
            case "devices_opened":
                for one in event["devices"]:
                    self._device(one["device"])
            case "target_set":
                for device in event["target_ms"]:
                    self._device(device)
                self.best_by_proxy = self.state.best()
            case "phase" | "run_resumed":
                self._ends.clear()  # the rate of other work, or the time in between, is irrelevant
                self._ends.append(event["time"])
                self._asked.clear()
            case "latency_modelled" if self._ends:
                self._ends[0] = event["time"]  # the supernet's epochs begin after the last of them
            case "long_trained" | "supernet_epoch":
                self._ends.append(event["time"])
            case kind if kind not in EVENTS and isinstance(event.get("device"), str):
                self._device(event["device"]).notice = event

    def _device(self, name: str) -> DeviceView:
        return self.devices.setdefault(name, DeviceView(name))


def overview(events: Iterable[Event]) -> Overview:
    """The overview after all the events."""
    view = Overview()
    for event in events:
        view.apply(event)
    return view


def drift(reference_ms: float | None, fastest_ms: float | None) -> float | None:
    """How much slower the reference model was beside a measurement than at its fastest on the device, a fraction.

    What a neighbour on a shared machine takes from single sessions is no drift: the reference loses it as well.
    """
    return reference_ms / fastest_ms - 1 if reference_ms and fastest_ms else None


def add_to_front(front: list[Point], point: Point) -> bool:
    """Insert a point into a Pareto front, fastest first, and remove what it beats; False if it is beaten itself."""
    at = bisect_right(front, point.latency_ms, key=lambda one: one.latency_ms)
    if at and front[at - 1].accuracy >= point.accuracy:
        return False
    first = at - 1 if at and front[at - 1].latency_ms == point.latency_ms else at
    while at < len(front) and front[at].accuracy <= point.accuracy:
        at += 1
    front[first:at] = [point]
    return True


def entropy(probabilities: Mapping[str, Mapping[str, float]]) -> float:
    """How open the decisions still are: the mean of entropy / largest entropy of each; 1 is uniform, 0 settled."""
    shares = [
        -sum(p * log(p) for p in choices.values() if p > 0) / log(len(choices))
        for choices in probabilities.values()
        if len(choices) > 1
    ]
    return statistics.fmean(shares) if shares else 0.0
