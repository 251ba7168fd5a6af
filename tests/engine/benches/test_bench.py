"""A bench measures what its devices deploy, and knows what any of them measured before."""

from pathlib import Path

import pytest

from mnascli.devices.discipline import Discipline
from mnascli.devices.host import HostDevice
from mnascli.devices.measuring import Latency
from mnascli.devices.pool import Pool
from mnascli.devices.profiles import Match, Profile
from mnascli.engine.benches.bench import Bench
from mnascli.space import Architecture, load
from mnascli.tflite.reading import operators

QUICK = Discipline(
    warmups=1, warmup_min_s=0, runs=2, min_s=0, sessions=1, keep=1, retries=0, max_spread=100, discard_drift=100
)


@pytest.fixture
def small() -> Architecture:
    return load("mnasnet-small", size=32, classes=10)


def test_an_int8_profile_measures_the_quantized_twin(tmp_path: Path, small: Architecture) -> None:
    digests = {}
    for precision in ("float32", "int8"):
        profile = Profile(name="host", match=Match(kind="host"), precision=precision, measuring=QUICK)  # type: ignore[arg-type]
        bench = Bench(Pool("host", profile, [HostDevice()]))
        try:
            (latency,) = bench.measure([small])
            file = bench.write(small, tmp_path / f"{precision}.tflite")
            (again,) = bench.measure_files([file])
        finally:
            bench.close()
        assert isinstance(latency, Latency) and isinstance(again, Latency)
        assert latency.model_sha256 == again.model_sha256
        digests[precision] = latency.model_sha256
    assert digests["float32"] != digests["int8"]
    assert (tmp_path / "int8.tflite").stat().st_size < (tmp_path / "float32.tflite").stat().st_size / 2
    assert len(operators(tmp_path / "int8.tflite")) == len(operators(tmp_path / "float32.tflite"))
