"""Devices of one kind that share the work: one that goes away is waited for, one that cannot be trusted is excluded.

Models are measured in batches of a few, so that little is lost with a device and each result is reported at once.
What becomes of a batch:

- its device goes away: the batch goes to a twin, or waits. A lost batch is handed out in smaller parts, so that a loose
  contact cannot keep it from ever finishing.
- a model is 'unstable': it is measured again, by a twin if there is one; after three times it is reported as it is.
- nothing in three batches in a row is stable: the device is excluded, and its results for them are not trusted. A
  shared machine stays: other work disturbs it for a while, and its models are reported as unstable.
- the device fails (its program does not start or ignores flags, the reference does not run): once may be an accident,
  after twice in a row it is excluded.

While no device is left but one may come back, the pool is paused. With none that could, it raises.
"""

from __future__ import annotations

import queue
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mnascli.devices.device import Device, DeviceError, DeviceLostError, ModelError
from mnascli.devices.discipline import Discipline
from mnascli.devices.measuring import Latency, measure
from mnascli.devices.profiles import Profile
from mnascli.errors import NoDeviceError

BATCH = 5  # models that are measured together, and lost together with their device
UNSTABLE_TIMES = 3  # measurements of a model before its unstable time is reported, batches before a device is excluded
LOSSES = 5  # in a row, without one batch done in between: a bad cable
ERRORS = 2  # likewise, of a device that is there and fails
POLL_S = 2.0  # between two looks for a device that went away


@dataclass(frozen=True)
class Measured:
    """The result of the model with that index, and the serial of the device that gave it."""

    index: int
    result: Latency | ModelError
    serial: str


@dataclass(frozen=True)
class News:
    """What became of a device, or of the pool (`serial` is then empty): see docs/events.md for the kinds."""

    kind: Literal["device_lost", "device_back", "device_set_aside", "measuring_paused", "measuring_resumed"]
    serial: str = ""
    reason: str = ""

    def values(self, pool: str) -> dict[str, str]:
        """The keys of its event, for the pool of that name."""
        parts = {"device": pool, "serial": self.serial, "reason": self.reason}
        return {key: value for key, value in parts.items() if value}


@dataclass
class Member:
    """A device of a pool and what is remembered about it from batch to batch."""

    device: Device
    asked: str = ""
    """How the user named it."""
    normal_ms: float | None = None
    """The reference model's time when nothing is wrong, None before the first batch."""
    references_ms: list[float] = field(default_factory=list)
    away: bool = False
    set_aside: str = ""
    """Why it is no longer used."""
    losses: int = 0
    errors: int = 0
    unstable: int = 0
    """Batches in a row without a stable result, with the digests of the models in them."""
    doubted: set[str] = field(default_factory=set)

    def note(self, results: Sequence[Latency | ModelError], discipline: Discipline) -> None:
        """Remember what a batch says about the device."""
        self.losses = self.errors = 0
        latencies = [result for result in results if isinstance(result, Latency)]
        stable = [latency for latency in latencies if latency.verdict == "stable"]
        reference_ms = latencies[0].reference_ms if latencies else None
        if discipline.shared and reference_ms:
            # What it can do when idle; all its times are scaled to that.
            self.normal_ms = min(self.normal_ms or reference_ms, reference_ms)
        elif stable and reference_ms:
            # The median, and not the fastest: one of hundreds of batches is luckier than the device ever is again.
            self.references_ms.append(reference_ms)
            self.normal_ms = statistics.median(self.references_ms)
        if stable:
            self.unstable, self.doubted = 0, set()
        elif latencies:
            self.unstable += 1
            self.doubted |= {latency.model_sha256 for latency in latencies}
            # A single model may be at fault itself; on a shared machine it is other work, which passes.
            if discipline.shared:
                return
            if self.unstable >= UNSTABLE_TIMES and len(self.doubted) > 1:
                self.set_aside = (
                    f"unstable {self.unstable} times in a row, the last time: {latencies[-1].problem}: "
                    "keep other work off it"
                )

    def is_back(self) -> bool:
        try:
            self.device.probe()
        except DeviceError:
            return False
        return True


class Pool:
    """Devices of one kind, opened alike with one profile. `name` stands for all of them."""

    def __init__(self, name: str, profile: Profile, devices: Sequence[Device], poll_s: float = POLL_S) -> None:
        self.name = name
        self.profile = profile
        self.tell: Callable[[str], None] = lambda text: None  # called with what is being done, in the devices' threads
        self.members = [Member(device) for device in devices]
        self._poll_s = poll_s
        self._paused = False

    def measure(
        self, models: Sequence[Path], reference: Path | None = None, stop: threading.Event | None = None
    ) -> Iterator[Measured | News]:
        """The latency of each model as soon as it is known, and what happens to the devices meanwhile.

        Leaving the iterator, or setting `stop`, ends running work after its session. Raises NoDeviceError if all
        devices were excluded.
        """
        work = _Work(self, models, reference, stop or threading.Event())
        try:
            while work.left and not work.stop.is_set():
                yield from work.give_out()
                yield from work.take_in()
        finally:
            work.finish()

    def close(self) -> None:
        for member in self.members:
            member.device.close()


class _Stopped(Exception):
    """Nobody waits for the result any more."""


@dataclass(frozen=True)
class _Answer:
    """What a thread reports about a member: the results of a batch, an error, or (for no batch) that it is back."""

    member: Member
    batch: tuple[int, ...]
    value: list[Latency | ModelError] | BaseException | None


class _Work:
    """One call of `Pool.measure`. Everything is decided in the iterating thread; the others only measure or wait."""

    def __init__(self, pool: Pool, models: Sequence[Path], reference: Path | None, stop: threading.Event) -> None:
        self.pool = pool
        self.stop = stop
        self.finished = False
        self.models = models
        self.reference = reference
        self.waiting = list(range(len(models)))
        self.left = len(models)
        self.unstable: dict[int, list[str]] = {index: [] for index in self.waiting}  # serials of those that found it so
        self.busy: dict[str, threading.Thread] = {}
        self.answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()

    def give_out(self) -> Iterator[News]:
        """A batch for each member that has none. Raises NoDeviceError if none is left."""
        pool = self.pool
        usable = [member for member in pool.members if not member.set_aside]
        if not usable:
            reasons = "; ".join(f"{member.device.serial} {member.set_aside}" for member in pool.members)
            raise NoDeviceError(f"no device is left to measure on as {pool.name}: {reasons}")
        for member in usable:
            if member.device.serial in self.busy:
                continue
            if member.away:
                self._start(member, ())
            elif batch := self._next_batch(member, [other for other in usable if not other.away]):
                self._start(member, batch)
        if all(member.away for member in usable) and not pool._paused:
            pool._paused = True
            gone = ", ".join(member.device.serial for member in usable)
            yield News("measuring_paused", reason=f"no device is left to measure on as {pool.name}: waiting for {gone}")

    def take_in(self) -> Iterator[Measured | News]:
        """The outcome of the next answer."""
        answer = self.answers.get()
        member, value = answer.member, answer.value
        serial = member.device.serial
        self.busy.pop(serial).join()
        if not answer.batch and value is None:
            member.away = False
            yield News("device_back", serial)
            if self.pool._paused:
                self.pool._paused = False
                yield News("measuring_resumed")
        elif isinstance(value, list):
            yield from self._take_results(member, answer.batch, value)
        elif isinstance(value, DeviceError):
            self.waiting = [*answer.batch, *self.waiting]
            if isinstance(value, DeviceLostError):
                member.losses += 1
                member.away = member.losses < LOSSES
                if member.away:
                    yield News("device_lost", serial, str(value))
                    return
                member.set_aside = f"went away {member.losses} times in a row: {value}"
            else:
                member.errors += 1
                if member.errors < ERRORS:
                    return
                member.set_aside = str(value)
            yield News("device_set_aside", serial, member.set_aside)
        elif value is not None and not isinstance(value, _Stopped):
            raise value

    def finish(self) -> None:
        self.finished = True
        for thread in self.busy.values():
            thread.join()

    def _take_results(
        self, member: Member, batch: tuple[int, ...], results: list[Latency | ModelError]
    ) -> Iterator[Measured | News]:
        serial = member.device.serial
        member.note(results, self.pool.profile.measuring)
        if member.set_aside:
            yield News("device_set_aside", serial, member.set_aside)
        for index, result in zip(batch, results, strict=True):
            if isinstance(result, Latency) and result.verdict == "unstable":
                self.unstable[index].append(serial)
                if member.set_aside:
                    self.unstable[index] = [other for other in self.unstable[index] if other != serial]
                if member.set_aside or len(self.unstable[index]) < UNSTABLE_TIMES:
                    self.waiting.append(index)
                    continue
            self.left -= 1
            yield Measured(index, result, serial)

    def _next_batch(self, member: Member, present: Sequence[Member]) -> tuple[int, ...]:
        """Some of the waiting work: shares for all, `BATCH` at most, smaller after each loss.

        What the member itself found unstable is left to its twins.
        """
        serials = [other.device.serial for other in present]
        mine = []
        for index in self.waiting:
            times = Counter(self.unstable[index])
            if times[member.device.serial] == min(times[serial] for serial in serials):
                mine.append(index)
        parts = max(len(present), -(-len(mine) // BATCH))
        batch = mine[: max(1, -(-len(mine) // parts) >> member.losses)]
        self.waiting = [index for index in self.waiting if index not in batch]
        return tuple(batch)

    def _start(self, member: Member, batch: tuple[int, ...]) -> None:
        thread = threading.Thread(target=self._run, args=(member, batch), daemon=True)
        self.busy[member.device.serial] = thread
        thread.start()

    def _run(self, member: Member, batch: tuple[int, ...]) -> None:
        """In the member's own thread: measure a batch, or without one wait until it is back."""
        value: Any = None
        try:
            if batch:
                value = measure(
                    member.device,
                    [self.models[index] for index in batch],
                    self.pool.profile.measuring,
                    reference=self.reference,
                    baseline_ms=member.normal_ms,
                    sleep=self._sleep,
                    check=self._check,
                    tell=self.pool.tell,
                )
            else:
                while not member.is_back():
                    self._sleep(self.pool._poll_s)
        except BaseException as error:
            value = error
        self.answers.put(_Answer(member, batch, value))

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self._check()
        while (left_s := end - time.monotonic()) > 0:
            time.sleep(min(left_s, 0.1))
            self._check()

    def _check(self) -> None:
        if self.finished or self.stop.is_set():
            raise _Stopped
