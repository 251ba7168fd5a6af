"""From single sessions to a latency that can be trusted: one discipline above every kind of device.

A batch of models is measured in rounds. In a round each model has one session, so that the sessions of a model are
spread over time and a bad minute does not fall on one candidate alone. A reference model runs before the first session
and after every few; its time says whether the device is still as fast as it was. `choosing` says which sessions count
and which of them give the latency. A model without enough of them goes into further rounds, up to `retries`, after a
cool-down if the reference had drifted; if that does not help, its fastest sessions (the middle ones on a shared
machine) come back marked 'unstable'. A reference that drifts by more than `discard_drift` discards the batch, once.

The numbers are those of nn-Meter, MLPerf Mobile and AndroidX benchmark; each device's own are in its profile.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from mnascli.devices.choosing import Timed, choose, drift, interval_ms, scale, time_ms, too_warm
from mnascli.devices.device import Device, DeviceError, ModelError, Session, Setup, read_model
from mnascli.devices.discipline import Discipline


@dataclass(frozen=True)
class Latency:
    """What one model takes on one device: medians over the kept sessions of their median, p5 and p95.

    On a shared machine (see `choosing`) they are those of the fastest tenth of the runs, which nothing interrupted, at
    the machine's normal speed. `runs` counts all runs in the kept sessions. `sessions` are those kept, `set_aside` the
    rest, both in the order they ran. `reference_ms` is the reference's normal time in this batch, None without one,
    and `reference_drift` the worst drift beside a kept session (fraction). `problem` says why the verdict is
    'unstable', else it is empty. `stored_s` is when it was measured (seconds since 1970), if it was looked up and
    not measured now.
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
    stored_s: float | None = field(default=None, compare=False)

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
    tell: Callable[[str], None] = lambda text: None,
) -> list[Latency | ModelError]:
    """The latency of each model, in order; a ModelError where a model failed twice.

    `baseline_ms` is the reference's time in an earlier batch (`Latency.reference_ms`): with it, a device that has
    become slower since then is noticed too. Models are removed from the device when they are done, the reference stays
    until it is closed. `check` is called before each session; what it or `sleep` raises ends the batch. `tell` is
    called with what is being done: a round, a repeated one and why, a cool-down.
    Raises DeviceLostError if the device went away, DeviceError if the reference does not run.
    """
    batch = _Batch(device, discipline, reference, now, sleep, check, tell, baseline_ms)
    try:
        try:
            return batch.measure(models)
        except _Discarded:
            batch.cool_down("changed its speed too much, everything is measured again")
            batch.may_discard = False
            batch.failures.clear()
            return batch.measure(models)
    finally:
        for model in set(models) - {reference}:
            device.release(model)


class _Discarded(Exception):
    """The reference drifted so far that nothing measured in this batch is trusted."""


@dataclass
class _Batch:
    """The state of one call of `measure`."""

    device: Device
    discipline: Discipline
    reference: Path | None
    now: Callable[[], float]
    sleep: Callable[[float], None]
    check: Callable[[], None]
    tell: Callable[[str], None]
    baseline_ms: float | None
    """The normal time of the reference in earlier batches."""
    references_ms: list[float] = field(default_factory=list)
    last_ms: float | None = None
    """The last run of the reference, None if there was none or the device has rested since."""
    may_discard: bool = True
    cool_downs: int = 0
    timed: dict[Path, list[Timed]] = field(default_factory=dict)
    failures: dict[Path, ModelError] = field(default_factory=dict)

    def measure(self, models: Sequence[Path]) -> list[Latency | ModelError]:
        digests = {model: read_model(model)[1] for model in models}
        self.timed = {model: [] for model in digests}
        sessions, retries = self.discipline.sessions, self.discipline.retries
        for number in range(sessions):
            self.tell(f"session {number + 1} of {sessions}")
            self._round(list(digests))
        for number in range(retries):
            doubtful = [model for model in digests if model not in self.failures and self._problem(model)]
            if not doubtful:
                break
            self.tell(f"retry {number + 1} of at most {retries}: {self._problem(doubtful[0])}")
            if self.last_ms and drift([self.last_ms], self.normal_ms()) > self.discipline.max_drift:
                self.cool_down("became slower")
            self._round(doubtful)
        return [self.failures.get(model) or self._latency(model, digests[model]) for model in models]

    def reference_ms(self) -> float | None:
        """The reference's normal time in this batch: its fastest. None without a reference."""
        return min(self.references_ms, default=None)

    def normal_ms(self) -> float | None:
        """What the reference takes on this device when nothing is wrong; None without a reference."""
        reference_ms = self.reference_ms()
        return min(self.baseline_ms or reference_ms, reference_ms) if reference_ms else self.baseline_ms

    def cool_down(self, why: str) -> None:
        cooling = self.discipline.cooling
        pause_s = min(cooling.pause_s * 2**self.cool_downs, cooling.max_pause_s)
        self.tell(f"{self.device.name} {why}: cooling down for {pause_s:g} s")
        self.sleep(pause_s)
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
            references_ms = (before_ms, after_ms) if before_ms and after_ms else ()
            for model, session in ran.items():
                self.timed[model].append(Timed(session, references_ms))
        if (left_s := self.discipline.round_min_s - (self.now() - began)) > 0:
            self.sleep(left_s)

    def _run_reference(self) -> float | None:
        if self.reference is None:
            return None
        session = self._run_twice_at_most(self.reference)
        if session is None:
            error = self.failures.pop(self.reference)
            raise DeviceError(f"{self.device.name}: the reference model does not run: {error}") from error
        self.last_ms = time_ms(session, self.discipline)
        self.references_ms.append(self.last_ms)
        if self.may_discard and drift([self.last_ms], self.normal_ms()) > self.discipline.discard_drift:
            raise _Discarded
        return self.last_ms

    def _run_twice_at_most(self, model: Path) -> Session | None:
        """A crash may be an accident; a second one is the model's fault."""
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
        """A session; repeated after a cool-down if it began on too warm a device, as often as `retries` allows."""
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
            if not too_warm(session.before, discipline.cooling) or self.cool_downs >= discipline.retries:
                return session
            self.cool_down("is too warm")

    def _problem(self, model: Path) -> str:
        return choose(self.timed[model], self.discipline, self.normal_ms())[1]

    def _latency(self, model: Path, digest: str) -> Latency:
        timed, normal_ms = self.timed[model], self.normal_ms()
        kept, problem = choose(timed, self.discipline, normal_ms)
        sessions = [timed[index].session for index in kept]
        scales = [scale(timed[index], self.discipline, normal_ms) for index in kept]

        def median(of: Callable[[Session], float]) -> float:
            return statistics.median(of(one) * factor for one, factor in zip(sessions, scales, strict=True))

        return Latency(
            model_sha256=digest,
            device=self.device.name,
            fingerprint=self.device.fingerprint,
            setup=self.device.setup,
            median_ms=median(lambda session: time_ms(session, self.discipline)),
            p5_ms=median(lambda session: interval_ms(session, self.discipline)[0]),
            p95_ms=median(lambda session: interval_ms(session, self.discipline)[1]),
            runs=sum(session.runs for session in sessions),
            verdict="unstable" if problem else "stable",
            problem=problem,
            reference_ms=self.reference_ms(),
            reference_drift=max(drift(timed[index].references_ms, normal_ms) for index in kept),
            sessions=tuple(sessions),
            set_aside=tuple(one.session for index, one in enumerate(timed) if index not in kept),
        )
