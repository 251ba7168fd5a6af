"""Latencies that were measured before: looked up again when the same .tflite meets the same device.

One file of JSON lines for each device in the user's cache folder, only ever appended to, so that several processes
may share it: a line is one write to a file opened for appending, and a line that a crash cut short is skipped.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mnascli.devices.device import Device, Setup
from mnascli.devices.discipline import Discipline
from mnascli.devices.measuring import Latency
from mnascli.errors import MnasError
from mnascli.user_dirs import cache_home

_VERSION = 1


class LatencyStore:
    """Latencies by (sha256 of the .tflite, fingerprint of the device, setup and discipline), with their raw samples.

    `max_age_hours`: older ones are not looked up, because a machine's speed changes from one day to the next.
    `now` gives seconds since 1970.
    """

    def __init__(
        self, folder: Path | None = None, max_age_hours: float = 24.0, now: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder or cache_home() / "latencies"
        self._max_age_s = max_age_hours * 3600
        self._now = now
        self._read_to: dict[Path, int] = {}
        self._lines: dict[str, tuple[float, bytes]] = {}
        self._references: dict[str, list[tuple[float, float]]] = {}

    def get(self, model_sha256: str, device: Device, discipline: Discipline) -> Latency | None:
        """The newest stable latency that is not too old, None if there is none. Raises MnasError if unreadable."""
        self._read(self._file(device.fingerprint))
        time_s, line = self._lines.get(_key(model_sha256, device.fingerprint, device.setup, discipline), (0.0, b""))
        # A time in the future is of a clock that was wrong.
        if not line or not 0 <= self._now() - time_s <= self._max_age_s:
            return None
        return Latency.from_json(json.loads(line)["latency"])

    def reference_ms(self, device: Device) -> float | None:
        """The reference model's fastest normal time on this device, set up so, that is not too old; None if none is."""
        self._read(self._file(device.fingerprint))
        known = self._references.get(_setup_key(device.fingerprint, device.setup.to_json()), [])
        return min((ms for time_s, ms in known if 0 <= self._now() - time_s <= self._max_age_s), default=None)

    def put(self, latency: Latency, discipline: Discipline) -> None:
        """Keep a latency, also an unstable one (for the record). Raises MnasError if it cannot be written."""
        key = _key(latency.model_sha256, latency.fingerprint, latency.setup, discipline)
        entry = {"v": _VERSION, "time": self._now(), "key": key, "latency": latency.to_json()}
        path = self._file(latency.fingerprint)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                # After a line that a crash cut short, start a new one.
                broken = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
                line = b"\n" * broken + json.dumps(entry).encode() + b"\n"
                if os.write(descriptor, line) != len(line):
                    raise OSError(0, "the disk is full")
            finally:
                os.close(descriptor)
        except OSError as error:
            raise MnasError(f"{path}: the latency cannot be kept: {error.strerror}") from error

    def _file(self, fingerprint: str) -> Path:
        return self._folder / f"{hashlib.sha256(fingerprint.encode()).hexdigest()[:16]}.jsonl"

    def _read(self, path: Path) -> None:
        """Take in what was appended since the last look, by whomever."""
        try:
            with path.open("rb") as file:
                file.seek(self._read_to.get(path, 0))
                new = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise MnasError(f"{path}: cannot be read: {error.strerror}") from error
        complete = new[: new.rfind(b"\n") + 1]
        self._read_to[path] = self._read_to.get(path, 0) + len(complete)
        for line in complete.splitlines():
            entry = _entry(line)
            if entry is not None and entry["latency"]["verdict"] == "stable":
                self._lines[entry["key"]] = (entry["time"], line)
                latency = entry["latency"]
                if latency["reference_ms"] is not None:
                    key = _setup_key(latency["fingerprint"], latency["setup"])
                    self._references.setdefault(key, []).append((entry["time"], latency["reference_ms"]))


def _entry(line: bytes) -> dict[str, Any] | None:
    """A line's content; None for a damaged one or another version's: it only means measuring again."""
    try:
        entry = json.loads(line)
        return entry if entry["v"] == _VERSION and entry["latency"]["verdict"] and entry["key"] else None
    except (ValueError, KeyError, TypeError):
        return None


def _setup_key(fingerprint: str, setup: dict[str, Any]) -> str:
    return json.dumps([fingerprint, setup], sort_keys=True)


def _key(model_sha256: str, fingerprint: str, setup: Setup, discipline: Discipline) -> str:
    parts = [model_sha256, fingerprint, setup.to_json(), discipline.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
