"""A device without hardware: a script says how fast it is at each moment, and its clock is a number."""

from collections.abc import Callable
from pathlib import Path

from mnascli.devices.device import (
    Conditions,
    Core,
    DeviceInfo,
    DeviceLostError,
    ModelError,
    Probe,
    Session,
    Setup,
    read_model,
)

# Runs of a session, relative to its median: a spread of 5 %.
PATTERN = [0.98, 0.99, 1.0, 1.01, 1.03]


def write_model(folder: Path, name: str, ms: float) -> Path:
    """A file that a ScriptedDevice takes for a model of that many milliseconds."""
    path = folder / f"{name}.tflite"
    path.write_bytes(b"\0\0\0\0TFL3" + f"{name} {ms}".encode())
    return path


class ScriptedDevice:
    """`slowdown(time_s, session number)` multiplies every model's milliseconds; numbers start with 0.

    It is away in the session `lost_at`, and while `gone` says so. With `ms_of` it takes real models too.
    """

    name = "scripted"
    kind = "adb"
    setup = Setup(cores=(7,))

    def __init__(
        self, slowdown: Callable[[float, int], float] = lambda time_s, session: 1.0, serial: str = "S1"
    ) -> None:
        self.serial = serial
        self.fingerprint = f"scripted/{serial}/build 1/benchmark_model 1"
        self.slowdown = slowdown
        self.gone: Callable[[], bool] = lambda: False
        self.ms_of: Callable[[bytes], float] | None = None  # milliseconds of a real .tflite
        self.time_s = 0.0
        self.ran: list[str] = []
        self.slept_s: list[float] = []
        self.released: list[str] = []
        self.held: set[Path] = set()
        self.temperature_c: Callable[[float], float] = lambda time_s: 30.0
        self.pattern = PATTERN
        self.crashes: dict[str, int] = {}
        self.lost_at: int | None = None

    def now(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.time_s += seconds

    def conditions(self) -> Conditions:
        temperature_c = self.temperature_c(self.time_s)
        return Conditions(cores=(7,), runtime="scripted 1", os_build="build 1", temperature_c=temperature_c)

    def probe(self) -> Probe:
        self._check_cable()
        info = DeviceInfo(name=self.name, kind="adb", serial=self.serial, state="ready")
        cores = (Core(0, 1800.0), Core(7, 2800.0))
        return Probe(info=info, cores=cores, suggested=self.setup, conditions=self.conditions())

    def run(
        self, model: Path, *, warmups: int, warmup_min_s: float, runs: int, min_s: float, timeout_s: float
    ) -> Session:
        content = read_model(model)[0]
        text = f"real {self.ms_of(content)}" if self.ms_of else content[8:].decode("ascii", "replace")
        number = len(self.ran)
        self._check_cable()
        if self.lost_at == number:
            self.lost_at = None
            raise DeviceLostError("scripted: the cable is out")
        self.ran.append(model.stem)
        if self.crashes.get(model.stem, 0) > 0 or len(text.split()) != 2:
            self.crashes[model.stem] = self.crashes.get(model.stem, 0) - 1
            raise ModelError(f"{model.name}: the binary crashed", "SIGSEGV")
        self.held.add(model)
        median_ms = float(text.split()[1]) * self.slowdown(self.time_s, number)
        before = self.conditions()
        if max(warmups * median_ms / 1000, warmup_min_s) + runs * median_ms / 1000 > timeout_s:
            raise ModelError(f"{model.name}: not done within {timeout_s} s")
        self.time_s += max(warmup_min_s, warmups * median_ms / 1000) + max(min_s, runs * median_ms / 1000)
        samples = [median_ms * self.pattern[index % len(self.pattern)] for index in range(runs)]
        return Session.from_samples(samples, before, self.conditions())

    def _check_cable(self) -> None:
        if self.gone():
            raise DeviceLostError("scripted: the cable is out")

    def release(self, model: Path) -> None:
        self.released.append(model.stem)
        self.held.discard(model)

    def close(self) -> None:
        self.held.clear()
