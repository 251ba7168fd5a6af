"""A bench: a pool of devices of one kind, their known latencies, and architectures turned into files."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mnascli import tflite
from mnascli.devices.device import Device, ModelError, read_model
from mnascli.devices.grouping import Known, open_pools
from mnascli.devices.measuring import Latency
from mnascli.devices.pool import Measured, News, Pool
from mnascli.devices.profiles import Precision
from mnascli.devices.store import LatencyStore
from mnascli.errors import UsageError
from mnascli.space import Architecture, load

# Runs between the candidates and shows whether the device is still as fast as before. The same for all searches and
# benchmarks, so that its time can be compared from run to run; small, because it runs often.
REFERENCE = load("mnasnet-small", size=96, classes=10)


def write_reference(path: Path) -> Path:
    """The reference model as a file."""
    return tflite.write(REFERENCE, path)


def _ignore(news: News) -> None:
    pass


@dataclass
class Bench:
    """Measures architectures and files on the devices of one kind, under one name.

    `store` is None if no earlier latency may be used. `on_news` gets the news of the devices. If the profile says int8,
    the quantized version of each architecture is measured.
    """

    pool: Pool
    store: LatencyStore | None = None
    on_news: Callable[[News], None] = _ignore
    _folder: tempfile.TemporaryDirectory[str] = field(default_factory=lambda: tempfile.TemporaryDirectory("mnas"))

    @property
    def name(self) -> str:
        return self.pool.name

    @property
    def device(self) -> Device:
        """The first of its devices, which represents all of them: they are of one kind and have the same setup."""
        return self.pool.members[0].device

    @property
    def precision(self) -> Precision:
        return self.pool.profile.precision

    def measure(self, architectures: Sequence[Architecture]) -> list[Latency | ModelError]:
        """Their latencies, in order; weights are random, which does not affect the time. Raises NoDeviceError."""
        return self._in_order(self.stream(architectures), len(architectures))

    def measure_files(self, files: Sequence[Path]) -> list[Latency | ModelError]:
        """The latencies of .tflite files, in order. Raises NoDeviceError."""
        return self._in_order(self._stream_files(files), len(files))

    def stream(
        self, architectures: Sequence[Architecture], stop: threading.Event | None = None
    ) -> Iterator[Measured | News]:
        """Each latency as soon as it is known, and the news of the devices; see `Pool.measure`."""
        folder = Path(self._folder.name)
        files = [self.write(one, folder / f"{n}.tflite") for n, one in enumerate(architectures)]
        try:
            yield from self._stream_files(files, stop)
        finally:
            for file in files:
                file.unlink(missing_ok=True)

    def write(self, architecture: Architecture, path: Path) -> Path:
        """The file that represents an architecture on these devices."""
        tflite.write(architecture, path)
        if self.precision == "int8":
            from mnascli.tflite.quantize import quantize  # takes half a second to import

            quantize(path, path)
        return path

    def _stream_files(self, files: Sequence[Path], stop: threading.Event | None = None) -> Iterator[Measured | News]:
        """A file whose bytes the store knows, from any device of the pool, is not measured again."""
        places: dict[str, list[int]] = {}
        for index, file in enumerate(files):
            places.setdefault(read_model(file)[1], []).append(index)
        unknown = []
        for digest, indices in places.items():
            known = self._known(digest)
            if known is None:
                unknown.append(indices)
                continue
            yield from (Measured(index, *known) for index in indices)
        if not unknown:
            return
        for item in self.pool.measure([files[indices[0]] for indices in unknown], self._reference(), stop):
            if isinstance(item, News):
                yield item
                continue
            if self.store is not None and isinstance(item.result, Latency):
                self.store.put(item.result, self.pool.profile.measuring)
            yield from (Measured(index, item.result, item.serial) for index in unknown[item.index])

    def _known(self, digest: str) -> tuple[Latency, str] | None:
        for member in self.pool.members if self.store else ():
            known = self.store.get(digest, member.device, self.pool.profile.measuring) if self.store else None
            if known is not None and not member.set_aside:
                return known, member.device.serial
        return None

    def _in_order(self, items: Iterator[Measured | News], count: int) -> list[Latency | ModelError]:
        results: dict[int, Latency | ModelError] = {}
        for item in items:
            if isinstance(item, News):
                self.on_news(item)
            else:
                results[item.index] = item.result
        return [results[index] for index in range(count)]

    def _reference(self) -> Path:
        path = Path(self._folder.name) / "reference.tflite"
        return path if path.exists() else self.write(REFERENCE, path)

    def close(self) -> None:
        self.pool.close()
        self._folder.cleanup()


def open_bench(name: str, store: LatencyStore | None = None) -> Bench:
    """The only bench of a device or profile. Raises NoDeviceError naming what exists, UsageError for several kinds."""
    benches = open_benches([name], store)
    if len(benches) > 1:
        for bench in benches:
            bench.close()
        kinds = ", ".join(bench.name for bench in benches)
        raise UsageError(f"'{name}' is the name of different kinds of devices: {kinds}: name one of them")
    return benches[0]


def open_benches(names: Sequence[str], store: LatencyStore | None = None, known: Sequence[Known] = ()) -> list[Bench]:
    """A bench for each kind among the named devices; see `open_pools`. Raises NoDeviceError naming what exists."""
    pools = open_pools(names, known)
    for pool in pools:
        if pool.profile.measuring.shared:
            # The speed of this machine when nobody else uses it may not be seen again for hours.
            for member in pool.members:
                member.normal_ms = LatencyStore().reference_ms(member.device)
    return [Bench(pool, store) for pool in pools]
