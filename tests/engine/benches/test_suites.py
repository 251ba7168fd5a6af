"""The paper's latency table, on a bench that takes a millisecond for each million multiply-adds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mnascli.devices.device import ModelError
from mnascli.engine.benches import suites
from mnascli.errors import MnasError
from mnascli.nets.nasnet import NasnetA
from mnascli.space import Architecture, count

NASNET_MS = 564.0


class Scripted:
    name, precision = "phone", "float"

    def __init__(self) -> None:
        self.times_ms: dict[Path, float] = {}

    def write(self, architecture: Architecture, path: Path) -> Path:
        self.times_ms[path] = count(architecture).multiply_adds / 1e6
        return path

    def measure_files(self, files: list[Path]) -> list[Any]:
        rest = {"p5_ms": 1.0, "p95_ms": 2.0, "runs": 10, "verdict": "stable", "problem": ""}
        return [SimpleNamespace(median_ms=self.times_ms.get(file, NASNET_MS), **rest) for file in files]

    def close(self) -> None:
        pass


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    bench = Scripted()
    monkeypatch.setattr(suites, "open_benches", lambda devices: [bench])
    monkeypatch.setattr(suites, "convert", lambda network, shape, path: path)
    monkeypatch.setattr(suites, "NasnetA", lambda: NasnetA(size=64))
    return bench


def test_the_rows_are_the_papers_with_ratios_to_a1(bench: Scripted) -> None:
    rows = {row["model"]: row for row in suites.run_suite("mnasnet-paper", ["phone"])}
    names = (
        "mobilenet-v1",
        "mobilenet-v2",
        "mobilenet-v2 x1.4",
        "nasnet-a",
        "mnasnet-a1",
        "mnasnet-b1",
        "mnasnet-small",
    )
    assert tuple(rows) == names
    a1 = rows["mnasnet-a1"]
    assert (a1["ratio_to_a1"], a1["pixel_1_ratio"], a1["parameters"]) == (1.0, 1.0, 3_887_038)
    assert rows["nasnet-a"]["ratio_to_a1"] == pytest.approx(NASNET_MS / a1["median_ms"])
    assert rows["nasnet-a"]["parameters"] == 5_289_978
    assert (
        round(rows["nasnet-a"]["pixel_1_ratio"], 1) == 2.3
        and round(rows["mobilenet-v2 x1.4"]["pixel_1_ratio"], 1) == 1.8
    )
    assert rows["mnasnet-small"]["pixel_1_ratio"] is None


def test_what_cannot_be_measured_is_named(bench: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scripted, "measure_files", lambda self, files: [ModelError("no room")] * len(files))
    with pytest.raises(MnasError, match="mobilenet-v1 cannot be measured on phone: no room"):
        suites.run_suite("mnasnet-paper", ["phone"])
