"""Latencies that were measured before: looked up again when the same .tflite is to be measured on the same device.

One SQLite file in the user's cache folder for all devices. It is read through its index, however much it holds, and
shared by several processes; a write that a crash cut short leaves what was there before. The raw samples of a latency
are compressed. Latencies of older versions, which were lines of JSON, are imported when the file is made.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from mnascli.devices.device import Device, Setup
from mnascli.devices.discipline import Discipline
from mnascli.devices.measuring import Latency
from mnascli.errors import MnasError
from mnascli.user_dirs import cache_home

FILE = "latencies.sqlite3"
OLDER = "*.jsonl"
T = TypeVar("T")

WAIT_S = 60.0  # for another process that is writing
_TABLE = """
create table if not exists latencies (
    key text not null, setup text not null, time_s real not null, stable integer not null, reference_ms real,
    latency blob not null
);
create index if not exists by_key on latencies (key, stable, time_s);
create index if not exists by_setup on latencies (setup, stable, time_s, reference_ms);
pragma user_version = 1;
"""


class LatencyStore:
    """Latencies by (sha256 of the .tflite, fingerprint of the device, setup and discipline), with their raw samples.

    `max_age_hours`: older ones are not looked up, because a machine's speed changes from one day to the next.
    `now` gives seconds since 1970. May be used by several threads.
    """

    def __init__(
        self, folder: Path | None = None, max_age_hours: float = 24.0, now: Callable[[], float] = time.time
    ) -> None:
        self.path = (folder or cache_home() / "latencies") / FILE
        self._max_age_s = max_age_hours * 3600
        self._now = now

    def get(self, model_sha256: str, device: Device, discipline: Discipline) -> Latency | None:
        """The newest stable latency that is not too old, None if there is none. Raises MnasError if unreadable."""
        key = _key(model_sha256, device.fingerprint, device.setup, discipline)
        found = self._newest("latency, time_s", "key = ?", key, "order by time_s desc, rowid desc limit 1")
        return _latency(*found) if found is not None else None

    def reference_ms(self, device: Device) -> float | None:
        """The reference model's fastest normal time on this device and setup that is not too old, or None."""
        setup = _setup_key(device.fingerprint, device.setup.to_json())
        found = self._newest("min(reference_ms)", "setup = ?", setup)
        return None if found is None else found[0]

    def put(self, latency: Latency, discipline: Discipline) -> None:
        """Keep a latency, even an unstable one (for the record). Raises MnasError if it cannot be written."""
        key = _key(latency.model_sha256, latency.fingerprint, latency.setup, discipline)
        row = _row(key, self._now(), latency.to_json())
        self._run(
            "the latency cannot be kept",
            lambda connection: connection.execute("insert into latencies values (?, ?, ?, ?, ?, ?)", row),
        )

    def _newest(self, columns: str, where: str, value: str, order: str = "") -> Any:
        """The first row of the stable latencies that are not too old; None without any."""
        if not self.path.parent.exists():
            return None
        # A time in the future comes from a clock that was wrong.
        query = f"select {columns} from latencies where {where} and stable = 1 and time_s between ? and ? {order}"
        now = self._now()
        values = (value, now - self._max_age_s, now)
        return self._run("cannot be read", lambda connection: connection.execute(query, values).fetchone())

    def _run(self, problem: str, action: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the file, in a transaction; once more on a new file if this one is damaged."""
        try:
            try:
                return self._transact(action)
            except sqlite3.DatabaseError as error:
                if type(error) is not sqlite3.DatabaseError:  # subclasses are about the disk, not about what is on it
                    raise
                self._set_aside()
                return self._transact(action)
        except (sqlite3.Error, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise MnasError(f"{self.path}: {problem}: {reason}") from error

    def _transact(self, action: Callable[[sqlite3.Connection], T]) -> T:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Opened each time: SQLite's locks do not survive a fork, and a process that was forked with an open file would
        # lose what it writes.
        with contextlib.closing(sqlite3.connect(self.path, timeout=WAIT_S)) as connection, connection:
            # A killed process still leaves the file whole; after a power cut, at worst, latencies are measured again.
            connection.execute("pragma synchronous = off")
            if _version(connection) == 0:
                connection.execute("begin immediate")
                if _version(connection) == 0:  # no other process was faster
                    self._make(connection)
            return action(connection)

    def _make(self, connection: sqlite3.Connection) -> None:
        """The tables, with what versions before SQLite kept."""
        for statement in _TABLE.split(";"):
            connection.execute(statement)
        older = sorted(self.path.parent.glob(OLDER))
        for path in older:
            connection.executemany("insert into latencies values (?, ?, ?, ?, ?, ?)", _older(path))
        connection.commit()
        for path in older:
            path.unlink(missing_ok=True)

    def _set_aside(self) -> None:
        """Start over: that only means measuring again. The damaged file stays, for whoever wants to look."""
        for end in ("", "-journal"):
            path = self.path.with_name(FILE + end)
            if path.exists():
                path.replace(path.with_name(f"{path.name}.damaged"))


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("pragma user_version").fetchone()[0])


def _row(key: str, time_s: float, latency: dict[str, Any]) -> tuple[Any, ...]:
    setup = _setup_key(latency["fingerprint"], latency["setup"])
    packed = zlib.compress(json.dumps(latency).encode(), 1)
    return key, setup, time_s, latency["verdict"] == "stable", latency["reference_ms"], packed


def _latency(packed: bytes, time_s: float) -> Latency | None:
    try:
        return replace(Latency.from_json(json.loads(zlib.decompress(packed))), stored_s=time_s)
    except (zlib.error, ValueError, KeyError, TypeError):
        return None  # from another version, or damaged: it only means measuring again


def _older(path: Path) -> Iterator[tuple[Any, ...]]:
    """The latencies in a file from before SQLite: a line of JSON each."""
    with path.open("rb") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
                if entry["v"] == 1:
                    yield _row(str(entry["key"]), float(entry["time"]), entry["latency"])
            except (ValueError, KeyError, TypeError):
                continue  # cut short by a crash


def _setup_key(fingerprint: str, setup: dict[str, Any]) -> str:
    return json.dumps([fingerprint, setup], sort_keys=True)


def _key(model_sha256: str, fingerprint: str, setup: Setup, discipline: Discipline) -> str:
    parts = [model_sha256, fingerprint, setup.to_json(), discipline.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
