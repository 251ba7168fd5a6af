"""Published latency tables, measured again on the user's device."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mnascli.devices.device import ModelError
from mnascli.engine.benches.bench import Bench, open_benches
from mnascli.errors import MnasError
from mnascli.nets.nasnet import NasnetA, build_nasnet_a, count_nasnet
from mnascli.space import count, load
from mnascli.tflite.convert import convert
from mnascli.tflite.quantize import quantize

REFERENCE = "mnasnet-a1"
NASNET = "nasnet-a"


@dataclass(frozen=True)
class Entry:
    """A row: a zoo name (or NASNet-A) and what the paper measured on a Pixel 1, if it did."""

    model: str
    width: float = 1.0
    pixel_1_ms: float | None = None

    @property
    def label(self) -> str:
        return self.model if self.width == 1 else f"{self.model} x{self.width:g}"


# Tan et al., 1807.11626v3, table 1.
MNASNET_PAPER = (
    Entry("mobilenet-v1", pixel_1_ms=113),
    Entry("mobilenet-v2", pixel_1_ms=75),
    Entry("mobilenet-v2", 1.4, pixel_1_ms=143),
    Entry(NASNET, pixel_1_ms=183),
    Entry(REFERENCE, pixel_1_ms=78),
    Entry("mnasnet-b1", pixel_1_ms=77),
    Entry("mnasnet-small"),
)
SUITES = {"mnasnet-paper": MNASNET_PAPER}


def run_suite(name: str, devices: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a suite on each device, at 224 pixels and 1000 classes, with the ratio to MnasNet-A1.

    Weights are random, which does not affect the time. Raises NoDeviceError, and MnasError if something cannot be
    measured.
    """
    entries = SUITES[name]
    rows = []
    with tempfile.TemporaryDirectory(prefix="mnas") as folder:
        nasnet, counts = _nasnet(Path(folder) / "nasnet.tflite")
        for bench in open_benches(devices):
            try:
                files = [_file(bench, one, nasnet, Path(folder) / f"{n}.tflite") for n, one in enumerate(entries)]
                measured = bench.measure_files(files)
            finally:
                bench.close()
            taken = {}
            for entry, latency in zip(entries, measured, strict=True):
                if isinstance(latency, ModelError):
                    raise MnasError(f"{entry.label} cannot be measured on {bench.name}: {latency}")
                taken[entry] = latency
            base = next(one for one in entries if one.model == REFERENCE)
            for entry, latency in taken.items():
                parameters, multiply_adds = counts if entry.model == NASNET else _counts(entry)
                keys = ("median_ms", "p5_ms", "p95_ms", "runs", "verdict", "problem")
                rows.append(
                    {
                        "model": entry.label,
                        "device": bench.name,
                        "parameters": parameters,
                        "multiply_adds": multiply_adds,
                        **{key: getattr(latency, key) for key in keys},
                        "ratio_to_a1": latency.median_ms / taken[base].median_ms,
                        "pixel_1_ms": entry.pixel_1_ms,
                        "pixel_1_ratio": entry.pixel_1_ms and entry.pixel_1_ms / (base.pixel_1_ms or 1),
                    }
                )
    return rows


def _nasnet(path: Path) -> tuple[Path, tuple[int, int]]:
    """NASNet-A as a float file, which takes litert-torch a minute, and its parameters and multiply-adds."""
    shape = NasnetA()
    with torch.random.fork_rng(devices=[]):
        network = build_nasnet_a(shape).eval()
    counts = count_nasnet(network, shape)
    return convert(network, shape, path), counts


def _file(bench: Bench, entry: Entry, nasnet: Path, path: Path) -> Path:
    if entry.model != NASNET:
        return bench.write(load(entry.model, width=entry.width), path)
    return quantize(nasnet, path) if bench.precision == "int8" else nasnet


def _counts(entry: Entry) -> tuple[int, int]:
    cost = count(load(entry.model, width=entry.width))
    return cost.parameters, cost.multiply_adds
