import contextlib
import dataclasses
import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mnascli.devices.device import Setup
from mnascli.devices.discipline import Discipline
from mnascli.devices.measuring import Latency, measure
from mnascli.devices.store import FILE, LatencyStore, _key
from mnascli.errors import MnasError
from stand_ins.scripted_device import ScriptedDevice, write_model

DISCIPLINE = Discipline(sessions=2, keep=2)
HOUR_S = 3600.0


@pytest.fixture
def latency(tmp_path: Path) -> Latency:
    device = ScriptedDevice()
    (result,) = measure(device, [write_model(tmp_path, "m", 5.0)], DISCIPLINE, now=device.now, sleep=device.sleep)
    assert isinstance(result, Latency)
    return result


def rows(folder: Path) -> list[tuple[int]]:
    with contextlib.closing(sqlite3.connect(folder / FILE)) as connection:
        return connection.execute("select stable from latencies").fetchall()


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
    assert (own_home / ".cache" / "mnas" / "latencies" / "latencies.sqlite3").is_file()


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
    assert rows(tmp_path) == [(0,)]
    assert store.reference_ms(ScriptedDevice()) is None
    store.put(latency, DISCIPLINE)
    assert store.get(latency.model_sha256, ScriptedDevice(), DISCIPLINE) == latency


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


def older(latency: Latency, time_s: float) -> bytes:
    """A line as versions before SQLite wrote it."""
    key = _key(latency.model_sha256, latency.fingerprint, latency.setup, DISCIPLINE)
    values = {name: value for name, value in latency.to_json().items() if name != "stored_s"}
    return json.dumps({"v": 1, "time": time_s, "key": key, "latency": values}).encode() + b"\n"


def test_latencies_of_older_versions_are_taken_in(tmp_path: Path, latency: Latency) -> None:
    other = dataclasses.replace(latency, model_sha256="1" * 64)
    damage = [b'{"v": 1, "time": 1, "key": "ab\n', b'{"v": 99}\n', b"null\n", b"[]\n", b"\xff\xfe\n", b'{"v": 1, "t']
    (tmp_path / "ab.jsonl").write_bytes(older(latency, 1e9) + b"".join(damage))
    (tmp_path / "cd.jsonl").write_bytes(older(other, 1e9))
    store = LatencyStore(tmp_path, now=lambda: 1e9 + HOUR_S)
    assert store.get(latency.model_sha256, ScriptedDevice(), DISCIPLINE) == latency
    assert store.get("1" * 64, ScriptedDevice(), DISCIPLINE) == other
    assert not list(tmp_path.glob("*.jsonl"))
    LatencyStore(tmp_path)
    assert len(rows(tmp_path)) == 2


def test_what_is_found_says_when_it_was_measured(tmp_path: Path, latency: Latency) -> None:
    now_s = [1e9]
    store = LatencyStore(tmp_path, now=lambda: now_s[0])
    store.put(latency, DISCIPLINE)
    now_s[0] += HOUR_S
    found = store.get(latency.model_sha256, ScriptedDevice(), DISCIPLINE)
    assert found is not None and found.stored_s == 1e9 and latency.stored_s is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"in the way",
        lambda content: content[: len(content) // 2 + 7],
        lambda content: content[:4096] + os.urandom(len(content) - 4096),
        lambda content: os.urandom(len(content)),
        lambda content: content[:50],
    ],
)
def test_a_damaged_file_only_means_measuring_again(tmp_path: Path, latency: Latency, damage: Any) -> None:
    put_many(tmp_path, latency, "a")
    (tmp_path / FILE).write_bytes(damage((tmp_path / FILE).read_bytes()))
    store = LatencyStore(tmp_path)
    for number in range(25):
        found = store.get(f"a{number}", ScriptedDevice(), DISCIPLINE)
        assert found is None or found.model_sha256 == f"a{number}"
    store.put(latency, DISCIPLINE)
    for reader in (store, LatencyStore(tmp_path)):
        assert reader.get(latency.model_sha256, ScriptedDevice(), DISCIPLINE) == latency


def test_a_process_that_is_killed_while_it_writes_leaves_what_was_there(tmp_path: Path, latency: Latency) -> None:
    context = multiprocessing.get_context("fork")
    put_many(tmp_path, latency, "before")
    for number in range(3):
        writer = context.Process(target=put_many, args=(tmp_path, latency, f"killed{number}"))
        writer.start()
        while LatencyStore(tmp_path).get(f"killed{number}0", ScriptedDevice(), DISCIPLINE) is None:
            assert writer.is_alive() or writer.exitcode == 0
            time.sleep(0.002)
        writer.kill()
        writer.join(60)
    store = LatencyStore(tmp_path)
    assert all(store.get(f"before{number}", ScriptedDevice(), DISCIPLINE) for number in range(25))
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)


MEMORY = """
import resource, sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from stand_ins.scripted_device import ScriptedDevice
from mnascli.devices.discipline import Discipline
from mnascli.devices.store import LatencyStore
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store = LatencyStore(Path(sys.argv[1]))
found = store.get("9999", ScriptedDevice(), Discipline(sessions=2, keep=2))
assert found is not None and store.reference_ms(ScriptedDevice()) is not None
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_opening_takes_little_memory_whatever_lies_in_it(tmp_path: Path, latency: Latency) -> None:
    """20,000 latencies of some kB each; all of them in memory would be 100 MB and more."""
    store = LatencyStore(tmp_path)
    store.put(dataclasses.replace(latency, reference_ms=4.0), DISCIPLINE)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        (row,) = connection.execute("select * from latencies").fetchall()
        keys = (_key(str(n), latency.fingerprint, latency.setup, DISCIPLINE) for n in range(20_000))
        many = ((key, *row[1:5], row[5] + bytes(3000)) for key in keys)
        connection.executemany("insert into latencies values (?, ?, ?, ?, ?, ?)", many)
    assert (tmp_path / FILE).stat().st_size > 60e6
    root, here = str(Path(__file__).parents[2]), str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", MEMORY, tmp_path, root, here], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 20
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as connection:
        for column, index in (("key", "by_key"), ("setup", "by_setup")):
            query = f"explain query plan select * from latencies where {column} = '' and stable = 1 and time_s > 1"
            assert index in str(connection.execute(query).fetchall())


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


def test_a_process_that_was_forked_loses_nothing_that_it_writes(tmp_path: Path, latency: Latency) -> None:
    store = LatencyStore(tmp_path)
    put_many(tmp_path, latency, "before")
    writer = multiprocessing.get_context("fork").Process(target=put_many, args=(tmp_path, latency, "forked"))
    writer.start()
    while writer.is_alive():
        store.get("before0", ScriptedDevice(), DISCIPLINE)
    writer.join(60)
    assert writer.exitcode == 0 and len(rows(tmp_path)) == 50


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, latency: Latency) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MnasError, match="the latency cannot be kept"):
        LatencyStore(tmp_path / "file").put(latency, DISCIPLINE)
