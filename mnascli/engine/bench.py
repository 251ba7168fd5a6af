"""A bench: one device with its measuring discipline, the latencies known of it, and architectures turned into files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mnascli import tflite
from mnascli.devices import open_device, profile_of
from mnascli.devices.device import Device, ModelError, read_model
from mnascli.devices.measuring import Discipline, Latency, measure
from mnascli.devices.profiles import Precision
from mnascli.devices.store import LatencyStore
from mnascli.space import Architecture, load

# Runs between the candidates and tells whether the device is still the one it was. One for all searches and benchmarks,
# so that its time can be compared from run to run; small, for it runs often.
REFERENCE = load("mnasnet-small", size=96, classes=10)


@dataclass
class Bench:
    """Measures architectures and files on one device. `store` is None where nothing known may be used.

    With `precision` int8 it measures the quantized twin of each architecture. `baseline_ms` is what the reference model
    took in the last batch.
    """

    device: Device
    discipline: Discipline
    store: LatencyStore | None = None
    precision: Precision = "float32"
    baseline_ms: float | None = None
    _folder: tempfile.TemporaryDirectory[str] = field(default_factory=lambda: tempfile.TemporaryDirectory("mnas"))

    def measure(self, architectures: Sequence[Architecture]) -> list[Latency | ModelError]:
        """Their latencies on this device, in order; weights are random, which changes no time."""
        folder = Path(self._folder.name)
        files = [self.write(one, folder / f"{n}.tflite") for n, one in enumerate(architectures)]
        try:
            return self.measure_files(files)
        finally:
            for file in files:
                file.unlink(missing_ok=True)

    def write(self, architecture: Architecture, path: Path) -> Path:
        """The file that stands for an architecture on this device."""
        tflite.write(architecture, path)
        if self.precision == "int8":
            from mnascli.tflite.quantize import quantize  # takes half a second to import

            quantize(path, path)
        return path

    def measure_files(self, files: Sequence[Path]) -> list[Latency | ModelError]:
        """The latencies of .tflite files. What the store knows of the same bytes is not measured again."""
        found: dict[str, Latency | ModelError] = {}
        digests = [read_model(file)[1] for file in files]
        for digest in set(digests):
            known = self.store.get(digest, self.device, self.discipline) if self.store else None
            if known is not None:
                found[digest] = known
        unknown = {digest: file for digest, file in zip(digests, files, strict=True) if digest not in found}
        if unknown:
            found |= zip(unknown, self._measure(list(unknown.values())), strict=True)
        return [found[digest] for digest in digests]

    def _measure(self, files: Sequence[Path]) -> list[Latency | ModelError]:
        reference = Path(self._folder.name) / "reference.tflite"
        if not reference.exists():
            self.write(REFERENCE, reference)
        results = measure(self.device, files, self.discipline, reference=reference, baseline_ms=self.baseline_ms)
        for result in results:
            if isinstance(result, Latency):
                self.baseline_ms = result.reference_ms
                if self.store is not None:
                    self.store.put(result, self.discipline)
        return results

    def close(self) -> None:
        self.device.close()
        self._folder.cleanup()


def open_bench(name: str, store: LatencyStore | None = None) -> Bench:
    """A bench for the device or profile of that name. Raises NoDeviceError naming what there is."""
    profile = profile_of(name)
    return Bench(open_device(name, profile), profile.measuring, store, profile.precision)
