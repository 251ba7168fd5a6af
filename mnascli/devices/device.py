"""What a device is: something that runs one .tflite file and says how long it took, and under which conditions.

A device only runs. How often, in which order, what is trusted and what is repeated is decided once, in
`measuring`, above every kind of device. Times are milliseconds, temperatures degrees Celsius, clocks MHz.
"""

from __future__ import annotations

import hashlib
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from mnascli.errors import MnasError, UsageError, reason

Accelerator = Literal["cpu", "gpu", "npu"]


class DeviceError(MnasError):
    """A device could not do what was asked of it."""


class ModelError(DeviceError):
    """This model does not run on this device (refused, crashed, timed out); other models may. `log`: its last words."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class DeviceLostError(DeviceError):
    """The device cannot be used now (cable, network, power, no space, an unplugged core), but perhaps later.

    `Device.probe` raises it too until it may.
    """

    exit_code = 3


@dataclass(frozen=True)
class Setup:
    """How models are run. `cores`: the cores the run is pinned to; empty means not pinned."""

    cores: tuple[int, ...]
    threads: int = 1
    accelerator: Accelerator = "cpu"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Setup:
        return cls(**{**values, "cores": tuple(values["cores"])})


@dataclass(frozen=True)
class Conditions:
    """The state of the device at one moment; None: this device does not report it.

    `cores` are those the run is actually pinned to (empty: unpinned). `runtime` names what runs the model, with its
    version or sha256. `thermal_status` is 0 for cool and grows with throttling (Android's scale). `load` is the
    number of runnable tasks, averaged over a minute.
    """

    cores: tuple[int, ...]
    runtime: str
    os_build: str
    frequency_mhz: float | None = None
    temperature_c: float | None = None
    thermal_status: int | None = None
    load: float | None = None
    screen_on: bool | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Conditions:
        return cls(**{**values, "cores": tuple(values["cores"])})


@dataclass(frozen=True)
class Session:
    """The runs of one model in one go, after its warm-up.

    `samples_ms` holds every run, in order; it is empty if the device reports only a summary (`benchmark_model`).
    `note` says what the device does not show about how it ran the model, '' if it shows everything.
    """

    median_ms: float
    p5_ms: float
    p95_ms: float
    runs: int
    before: Conditions
    after: Conditions
    samples_ms: tuple[float, ...] = ()
    note: str = ""

    @property
    def spread(self) -> float:
        """(p95 - p5) / median, a fraction."""
        return (self.p95_ms - self.p5_ms) / self.median_ms

    @classmethod
    def from_samples(cls, samples_ms: Sequence[float], before: Conditions, after: Conditions) -> Session:
        """Summarise raw runs. Raises DeviceError for impossible samples (none, or not above 0)."""
        if not samples_ms or min(samples_ms) <= 0:
            raise DeviceError("the device reported no run, or one that took no time: its numbers are not used")
        return cls(
            median_ms=statistics.median(samples_ms),
            p5_ms=percentile(samples_ms, 5),
            p95_ms=percentile(samples_ms, 95),
            runs=len(samples_ms),
            before=before,
            after=after,
            samples_ms=tuple(samples_ms),
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Session:
        changed = {
            "before": Conditions.from_json(values["before"]),
            "after": Conditions.from_json(values["after"]),
            "samples_ms": tuple(values["samples_ms"]),
        }
        return cls(**{**values, **changed})


def read_model(path: Path) -> tuple[bytes, str]:
    """The bytes of a .tflite file and their sha256. Raises UsageError for a file that is not one or cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {reason(error)}") from error
    if content[4:8] != b"TFL3":
        raise UsageError(f"{path}: not a .tflite file")
    return content, hashlib.sha256(content).hexdigest()


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile of some numbers, linear between neighbours (numpy's default), 0 <= percent <= 100."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


@dataclass(frozen=True)
class DeviceInfo:
    """One line of `mnas devices list`.

    `state` is 'ready' for a device that can be used; otherwise `problem` says why not and what to do.
    `profile` is the name of the profile that matches.
    """

    name: str
    kind: str
    serial: str
    state: str
    model: str = ""
    soc: str = ""
    abi: str = ""
    os: str = ""
    temperature_c: float | None = None
    battery_percent: int | None = None
    profile: str = ""
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Core:
    """One CPU core; `max_mhz` is None if the machine does not report it."""

    index: int
    max_mhz: float | None = None
    online: bool = True


@dataclass(frozen=True)
class Probe:
    """What `mnas devices probe` finds out; `suggested` is the setup to measure with."""

    info: DeviceInfo
    cores: tuple[Core, ...]
    suggested: Setup
    conditions: Conditions
    governor: str = ""
    free_mb: float | None = None
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def fastest_cores(cores: Sequence[Core], count: int = 1) -> tuple[int, ...]:
    """The `count` online cores of the highest maximum frequency, the highest-numbered first.

    Phones number their big cores last, and core 0 takes most interrupts, so the last of several equals is the best.
    """
    online = [core for core in cores if core.online]
    online.sort(key=lambda core: (core.max_mhz or 0.0, core.index), reverse=True)
    return tuple(core.index for core in online[:count])


def require_cores(name: str, wanted: Literal["auto"] | Sequence[int], there: Sequence[Core]) -> None:
    """Raises UsageError for a core that the device of that name lacks, or that this process may not use."""
    lacking = set() if wanted == "auto" else set(wanted) - {core.index for core in there}
    if lacking:
        known = ", ".join(str(core.index) for core in there) or "none can be chosen on this system"
        raise UsageError(f"{name}: there is no core {min(lacking)} (cores: {known}): change 'cores'")


def slug(text: str) -> str:
    """A text as part of a name: 'Pixel 6 Pro' is 'pixel-6-pro'."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


class Device(Protocol):
    """One device, opened with its setup. Not safe for several threads at once.

    `name` is what the user types, `serial` tells twins apart. `fingerprint` names everything except the setup that a
    latency depends on (the very device, its OS build, the runtime with version or sha256): latencies are kept under it.
    """

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def serial(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def setup(self) -> Setup: ...

    def probe(self) -> Probe:
        """Look closely; takes up to a few seconds. Raises DeviceError."""
        ...

    def run(
        self, model: Path, *, warmups: int, warmup_min_s: float, runs: int, min_s: float, timeout_s: float
    ) -> Session:
        """Warm up, then run the model until both `runs` and `min_s` are reached; a fresh interpreter every time.

        Sends the model first if the device does not hold it. Raises ModelError if the model is at fault or is not
        done within `timeout_s`, DeviceLostError if the device went away; the next call works again if it is back.
        """
        ...

    def release(self, model: Path) -> None:
        """Remove the model from the device; does nothing if it is not there. Never raises for a lost device."""
        ...

    def close(self) -> None:
        """Leave nothing behind: no process, no file, no changed setting. May be called twice."""
        ...
