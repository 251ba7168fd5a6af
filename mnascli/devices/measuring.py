"""From single sessions to a latency that can be believed: one discipline above every kind of device.

A batch of models is measured in rounds. In a round each model has one session, so that the sessions of a model are
spread in time and a bad minute does not fall on one candidate alone. A reference model runs before the first session
and after every few; its time says whether the device is still the one it was. A session counts when

- it began on a device that was cool enough and did not begin to throttle in it,
- the runs in it agree ((p95 - p5) / median within `max_spread`), and
- the reference on either side of it was within `max_drift` of its normal time: its fastest in this batch (or, with
  `lucky`, that share of its times further up), or what an earlier batch found where that is faster.

The result is the fastest group of `keep` sessions that count and agree within `max_difference`. Why the fastest: other
work, throttling and a neighbour on the same machine make a run slower. Why a group: a virtual machine has moments when
it runs a third faster than it does for long, and one such session must not become the result. A model without such a
group goes into further rounds, up to `retries`, after a cool-down where the reference had drifted; if it still has
none, its fastest sessions come back marked 'unstable'. A reference that drifts by more than `discard_drift` discards
the batch, once.

The numbers are those of nn-Meter, MLPerf Mobile and AndroidX benchmark; each device's own stand in its profile.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from mnascli.devices.device import Conditions, Device, DeviceError, ModelError, Session, Setup, read_model
from mnascli.schema import Schema


class Cooling(Schema):
    """When a device is too warm to start a session, and how it is left to cool."""

    max_temperature_c: float | None = Field(default=None, gt=0)
    max_thermal_status: int = Field(default=0, ge=0)
    pause_s: float = Field(default=10.0, ge=0)
    """The first cool-down; each further one of a batch takes twice as long, up to `max_pause_s`."""
    max_pause_s: float = Field(default=90.0, ge=0)


class Discipline(Schema):
    """How a latency is measured. Fractions, not percents: 0.03 is 3 %."""

    warmups: int = Field(default=10, ge=0)
    warmup_min_s: float = Field(default=0.5, ge=0)
    runs: int = Field(default=50, ge=1)
    min_s: float = Field(default=1.0, ge=0)
    timeout_s: float = Field(default=120.0, gt=0)
    sessions: int = Field(default=3, ge=1)
    keep: int = Field(default=3, ge=1)
    round_min_s: float = Field(default=0.0, ge=0)
    """A round takes at least this long, so that the sessions of a single model are spread in time too."""
    max_spread: float = Field(default=0.15, gt=0)
    max_difference: float = Field(default=0.03, gt=0)
    retries: int = Field(default=3, ge=0)
    reference_every: int = Field(default=5, ge=1)
    max_drift: float = Field(default=0.03, gt=0)
    discard_drift: float = Field(default=0.10, gt=0)
    lucky: float = Field(default=0.0, ge=0, le=0.5)
    """Share of the reference's sessions that may be faster than the device lastingly is: 0 but on a shared machine."""
    normal: Literal["all batches", "last batch"] = "all batches"
    """What a search takes for the reference's time when nothing is wrong. The last batch's alone only where a machine's
    speed changes for hours and that is no fault: a phone that has become slower is too warm or saves power."""
    cooling: Cooling = Cooling()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.keep > self.sessions:
            raise ValueError(f"keep ({self.keep}) must not be above sessions ({self.sessions})")
        if self.discard_drift < self.max_drift:
            raise ValueError(f"discard_drift ({self.discard_drift}) must not be below max_drift ({self.max_drift})")
        return self


@dataclass(frozen=True)
class Latency:
    """What one model takes on one device: medians over the kept sessions of their median, p5 and p95.

    `runs` counts the runs in the kept sessions. `sessions` are those kept, `set_aside` the others, both in the order
    they ran. `reference_ms` is the reference's normal time in this batch, None without one, and `reference_drift` the
    worst drift beside a kept session (fraction). `problem` says why the verdict is 'unstable', else it is empty.
    """

    model_sha256: str
    device: str
    fingerprint: str
    setup: Setup
    median_ms: float
    p5_ms: float
    p95_ms: float
    runs: int
    verdict: Literal["stable", "unstable"]
    problem: str
    reference_ms: float | None
    reference_drift: float
    sessions: tuple[Session, ...]
    set_aside: tuple[Session, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "setup": self.setup.to_json(),
            "sessions": [session.to_json() for session in self.sessions],
            "set_aside": [session.to_json() for session in self.set_aside],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Latency:
        changed = {
            "setup": Setup.from_json(values["setup"]),
            "sessions": tuple(Session.from_json(session) for session in values["sessions"]),
            "set_aside": tuple(Session.from_json(session) for session in values["set_aside"]),
        }
        return cls(**{**values, **changed})


def measure(
    device: Device,
    models: Sequence[Path],
    discipline: Discipline,
    *,
    reference: Path | None = None,
    baseline_ms: float | None = None,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    check: Callable[[], None] = lambda: None,
) -> list[Latency | ModelError]:
    """The latency of each model, in order; a ModelError stands where a model failed twice.

    `baseline_ms` is the reference's time in an earlier batch (`Latency.reference_ms`): with it, a device that has
    become slower since is noticed too. Models are removed from the device when they are done, the reference stays
    until it is closed. `check` is called before each session; what it or `sleep` raises ends the batch.
    Raises DeviceLostError if the device went away, DeviceError if the reference does not run.
    """
    batch = _Batch(device, discipline, reference, now, sleep, check, baseline_ms)
    try:
        try:
            return batch.measure(models)
        except _Discarded:
            batch.cool_down()
            batch.may_discard = False
            batch.failures.clear()
            return batch.measure(models)
    finally:
        for model in set(models) - {reference}:
            device.release(model)


class _Discarded(Exception):
    """The reference drifted so far that nothing measured in this batch is believed."""


@dataclass(frozen=True)
class _Timed:
    """A session, and the slower of the references on either side of it (None without a reference)."""

    session: Session
    reference_ms: float | None


@dataclass
class _Batch:
    """The state of one call of `measure`."""

    device: Device
    discipline: Discipline
    reference: Path | None
    now: Callable[[], float]
    sleep: Callable[[float], None]
    check: Callable[[], None]
    baseline_ms: float | None
    """The normal time of the reference in earlier batches."""
    references_ms: list[float] = field(default_factory=list)
    last_ms: float | None = None
    """The reference that ran last, None if none did or the device has rested since."""
    may_discard: bool = True
    cool_downs: int = 0
    timed: dict[Path, list[_Timed]] = field(default_factory=dict)
    failures: dict[Path, ModelError] = field(default_factory=dict)

    def measure(self, models: Sequence[Path]) -> list[Latency | ModelError]:
        digests = {model: read_model(model)[1] for model in models}
        self.timed = {model: [] for model in digests}
        for _ in range(self.discipline.sessions):
            self._round(list(digests))
        for _ in range(self.discipline.retries):
            doubtful = [model for model in digests if model not in self.failures and self._problem(model)]
            if not doubtful:
                break
            if _drift(self.last_ms, self.normal_ms()) > self.discipline.max_drift:
                self.cool_down()
            self._round(doubtful)
        return [self.failures.get(model) or self._latency(model, digests[model]) for model in models]

    def reference_ms(self) -> float | None:
        """The reference's normal time in this batch; None without a reference."""
        lucky = int((len(self.references_ms) - 1) * self.discipline.lucky)
        return sorted(self.references_ms)[lucky] if self.references_ms else None

    def normal_ms(self) -> float | None:
        """What the reference takes on this device when nothing is wrong; None without a reference."""
        reference_ms = self.reference_ms()
        return min(self.baseline_ms or reference_ms, reference_ms) if reference_ms else self.baseline_ms

    def cool_down(self) -> None:
        cooling = self.discipline.cooling
        self.sleep(min(cooling.pause_s * 2**self.cool_downs, cooling.max_pause_s))
        self.cool_downs += 1
        self.last_ms = None

    def _round(self, models: Sequence[Path]) -> None:
        """One session of each model, the reference before the first and after every few."""
        began = self.now()
        waiting = iter(models)
        while chunk := list(islice(waiting, self.discipline.reference_every)):
            before_ms = self.last_ms or self._run_reference()
            ran = {model: session for model in chunk if (session := self._run_twice_at_most(model))}
            after_ms = self._run_reference()
            slower_ms = max(before_ms, after_ms) if before_ms and after_ms else None
            for model, session in ran.items():
                self.timed[model].append(_Timed(session, slower_ms))
        if (left_s := self.discipline.round_min_s - (self.now() - began)) > 0:
            self.sleep(left_s)

    def _run_reference(self) -> float | None:
        if self.reference is None:
            return None
        session = self._run_twice_at_most(self.reference)
        if session is None:
            error = self.failures.pop(self.reference)
            raise DeviceError(f"{self.device.name}: the reference model does not run: {error}") from error
        self.last_ms = session.median_ms
        self.references_ms.append(self.last_ms)
        if self.may_discard and _drift(self.last_ms, self.normal_ms()) > self.discipline.discard_drift:
            raise _Discarded
        return self.last_ms

    def _run_twice_at_most(self, model: Path) -> Session | None:
        """A crash may be an accident, a second one is the model's."""
        if model in self.failures:
            return None
        try:
            return self._run(model)
        except ModelError:
            try:
                return self._run(model)
            except ModelError as error:
                self.failures[model] = error
                return None

    def _run(self, model: Path) -> Session:
        """A session; again after a cool-down if it began on a device too warm, as often as `retries` allows."""
        discipline = self.discipline
        while True:
            self.check()
            session = self.device.run(
                model,
                warmups=discipline.warmups,
                warmup_min_s=discipline.warmup_min_s,
                runs=discipline.runs,
                min_s=discipline.min_s,
                timeout_s=discipline.timeout_s,
            )
            if not _too_warm(session.before, discipline.cooling) or self.cool_downs >= discipline.retries:
                return session
            self.cool_down()

    def _problem(self, model: Path) -> str:
        return _choose(self.timed[model], self.discipline, self.normal_ms())[1]

    def _latency(self, model: Path, digest: str) -> Latency:
        timed = self.timed[model]
        kept, problem = _choose(timed, self.discipline, self.normal_ms())
        sessions = [timed[index].session for index in kept]
        return Latency(
            model_sha256=digest,
            device=self.device.name,
            fingerprint=self.device.fingerprint,
            setup=self.device.setup,
            median_ms=statistics.median(session.median_ms for session in sessions),
            p5_ms=statistics.median(session.p5_ms for session in sessions),
            p95_ms=statistics.median(session.p95_ms for session in sessions),
            runs=sum(session.runs for session in sessions),
            verdict="unstable" if problem else "stable",
            problem=problem,
            reference_ms=self.reference_ms(),
            reference_drift=max(_drift(timed[index].reference_ms, self.normal_ms()) for index in kept),
            sessions=tuple(sessions),
            set_aside=tuple(one.session for index, one in enumerate(timed) if index not in kept),
        )


def _choose(timed: Sequence[_Timed], discipline: Discipline, normal_ms: float | None) -> tuple[list[int], str]:
    """The indices of the sessions to keep, and why they are not to be believed ('' if they are)."""
    objections = [_objection(one, discipline, normal_ms) for one in timed]
    counting = [index for index, objection in enumerate(objections) if not objection]
    keep = discipline.keep
    enough = len(counting) >= keep
    ordered = sorted(counting if enough else range(len(timed)), key=lambda index: timed[index].session.median_ms)
    if not enough:
        return sorted(ordered[:keep]), next(objection for objection in reversed(objections) if objection)
    groups = [ordered[first : first + keep] for first in range(len(ordered) - keep + 1)]
    differences = [timed[group[-1]].session.median_ms / timed[group[0]].session.median_ms - 1 for group in groups]
    for group, difference in zip(groups, differences, strict=True):
        if difference <= discipline.max_difference:
            return sorted(group), ""
    return sorted(groups[0]), f"sessions differ by {min(differences):.1%} (limit {discipline.max_difference:.1%})"


def _objection(timed: _Timed, discipline: Discipline, normal_ms: float | None) -> str:
    """Why a session does not count, '' if it does."""
    drift = _drift(timed.reference_ms, normal_ms)
    if _too_warm(timed.session.before, discipline.cooling):
        return f"the device stayed too warm ({_warmth(timed.session.before)})"
    if (timed.session.after.thermal_status or 0) > discipline.cooling.max_thermal_status:
        return f"the device began to throttle ({_warmth(timed.session.after)})"
    if drift > discipline.max_drift:
        return f"the reference model was {drift:.1%} slower than before (limit {discipline.max_drift:.1%})"
    if timed.session.spread > discipline.max_spread:
        return f"the runs of a session spread by {timed.session.spread:.1%} (limit {discipline.max_spread:.1%})"
    return ""


def _drift(reference_ms: float | None, normal_ms: float | None) -> float:
    """How much slower than normal the reference is, a fraction; below 0 if it is faster, 0 without a reference."""
    return reference_ms / normal_ms - 1 if reference_ms and normal_ms else 0.0


def _too_warm(conditions: Conditions, cooling: Cooling) -> bool:
    hot = cooling.max_temperature_c is not None and (conditions.temperature_c or 0.0) > cooling.max_temperature_c
    return hot or (conditions.thermal_status or 0) > cooling.max_thermal_status


def _warmth(conditions: Conditions) -> str:
    parts = []
    if conditions.temperature_c is not None:
        parts.append(f"{conditions.temperature_c:.0f} °C")
    if conditions.thermal_status is not None:
        parts.append(f"thermal status {conditions.thermal_status}")
    return ", ".join(parts)
