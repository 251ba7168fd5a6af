import dataclasses
import multiprocessing
from pathlib import Path

import pytest
from scripted_device import ScriptedDevice, write_model

from mnascli.devices.device import Setup
from mnascli.devices.discipline import Discipline
from mnascli.devices.measuring import Latency, measure
from mnascli.devices.store import LatencyStore
from mnascli.errors import MnasError

DISCIPLINE = Discipline(sessions=2, keep=2)
HOUR_S = 3600.0


@pytest.fixture
def latency(tmp_path: Path) -> Latency:
    device = ScriptedDevice()
    (result,) = measure(device, [write_model(tmp_path, "m", 5.0)], DISCIPLINE, now=device.now, sleep=device.sleep)
    assert isinstance(result, Latency)
    return result


def put_many(folder: Path, latency: Latency, name: str) -> None:
    store = LatencyStore(folder)
    for number in range(25):
        store.put(dataclasses.replace(latency, model_sha256=f"{name}{number}"), DISCIPLINE)


def test_a_latency_comes_back_whole(tmp_path: Path, latency: Latency) -> None:
    LatencyStore(tmp_path).put(latency, DISCIPLINE)
    found = LatencyStore(tmp_path).get(latency.model_sha256, ScriptedDevice(), DISCIPLINE)
    assert found == latency
    assert found.sessions[0].samples_ms and found.sessions[0].before.temperature_c == 30.0


def test_the_reference_of_a_device_is_its_fastest_that_is_not_too_old(tmp_path: Path, latency: Latency) -> None:
    now_s = [0.0]
    store = LatencyStore(tmp_path, now=lambda: now_s[0])
    assert store.reference_ms(ScriptedDevice()) is None
    for hour, ms in ((0, 3.0), (20, 4.0), (21, 5.0)):
        now_s[0] = hour * HOUR_S
        store.put(dataclasses.replace(latency, model_sha256=f"{hour}", reference_ms=ms), DISCIPLINE)
    assert store.reference_ms(ScriptedDevice()) == 3.0
    now_s[0] = 30 * HOUR_S
    assert LatencyStore(tmp_path, now=lambda: now_s[0]).reference_ms(ScriptedDevice()) == 4.0
    assert store.reference_ms(ScriptedDevice(serial="S2")) is None


def test_a_default_store_lies_in_the_users_cache(own_home: Path, latency: Latency) -> None:
    LatencyStore().put(latency, DISCIPLINE)
    assert list((own_home / ".cache" / "mnas" / "latencies").glob("*.jsonl"))


def test_another_model_device_setup_or_discipline_is_another_latency(tmp_path: Path, latency: Latency) -> None:
    store = LatencyStore(tmp_path)
    store.put(latency, DISCIPLINE)
    twin, other_core = ScriptedDevice(), ScriptedDevice()
    twin.fingerprint = "scripted/S2"
    other_core.setup = Setup(cores=(4,))
    assert store.get(latency.model_sha256, twin, DISCIPLINE) is None
    assert store.get(latency.model_sha256, other_core, DISCIPLINE) is None
    assert store.get("0" * 64, ScriptedDevice(), DISCIPLINE) is None
    assert store.get(latency.model_sha256, ScriptedDevice(), Discipline(sessions=2, keep=2, runs=51)) is None
    assert store.get(latency.model_sha256, ScriptedDevice(), DISCIPLINE) == latency


def test_unstable_latencies_are_kept_but_not_looked_up(tmp_path: Path, latency: Latency) -> None:
    store = LatencyStore(tmp_path)
    store.put(dataclasses.replace(latency, verdict="unstable", problem="drift"), DISCIPLINE)
    assert store.get(latency.model_sha256, ScriptedDevice(), DISCIPLINE) is None
    assert b'"unstable"' in next(tmp_path.glob("*.jsonl")).read_bytes()


@pytest.mark.parametrize(
    ("age_s", "found"), [(0.0, True), (23.9 * HOUR_S, True), (24.1 * HOUR_S, False), (-9.0, False)]
)
def test_old_latencies_are_measured_again(tmp_path: Path, latency: Latency, age_s: float, found: bool) -> None:
    LatencyStore(tmp_path, now=lambda: 1e9).put(latency, DISCIPLINE)
    later = LatencyStore(tmp_path, now=lambda: 1e9 + age_s)
    assert (later.get(latency.model_sha256, ScriptedDevice(), DISCIPLINE) is not None) == found


def test_the_newest_counts_also_when_another_process_wrote_it(tmp_path: Path, latency: Latency) -> None:
    store = LatencyStore(tmp_path)
    store.put(latency, DISCIPLINE)
    assert store.get(latency.model_sha256, ScriptedDevice(), DISCIPLINE) == latency
    newer = dataclasses.replace(latency, median_ms=4.5)
    LatencyStore(tmp_path).put(newer, DISCIPLINE)
    assert store.get(latency.model_sha256, ScriptedDevice(), DISCIPLINE) == newer


@pytest.mark.parametrize(
    "damage", [b'{"v": 1, "time": 1, "key": "ab', b'{"v": 99}\n', b"null\n", b"[]\n", b"\xff\xfe\n"]
)
def test_a_damaged_line_costs_only_itself(tmp_path: Path, latency: Latency, damage: bytes) -> None:
    LatencyStore(tmp_path).put(latency, DISCIPLINE)
    with next(tmp_path.glob("*.jsonl")).open("ab") as file:
        file.write(damage)
    store = LatencyStore(tmp_path)
    assert store.get(latency.model_sha256, ScriptedDevice(), DISCIPLINE) == latency
    newer = dataclasses.replace(latency, model_sha256="1" * 64)
    store.put(newer, DISCIPLINE)
    for reader in (store, LatencyStore(tmp_path)):
        assert reader.get("1" * 64, ScriptedDevice(), DISCIPLINE) == newer
        assert reader.get(latency.model_sha256, ScriptedDevice(), DISCIPLINE) == latency


def test_several_processes_write_at_once(tmp_path: Path, latency: Latency) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=put_many, args=(tmp_path, latency, name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    store = LatencyStore(tmp_path)
    for name in "abc":
        for number in range(25):
            assert store.get(f"{name}{number}", ScriptedDevice(), DISCIPLINE) is not None


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, latency: Latency) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MnasError, match="the latency cannot be kept"):
        LatencyStore(tmp_path / "file").put(latency, DISCIPLINE)
