"""The event log: one JSON object a line, appended by a single writer, flushed and fsynced; the truth about a run."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mnascli.errors import MnasError, reason

VERSION = 1
BLOCK_BYTES = 1 << 18

Event = dict[str, Any]


class RunError(MnasError):
    """A run directory that cannot be used: missing, locked, damaged, or on a full disk."""


class EventWriter:
    """Appends events to a log. The caller holds the run's lock, so there is one writer.

    On opening, an unterminated last line (a writer killed in mid-write) is cut off.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Unbuffered: what a full disk refused must not turn up later, out of a buffer.
        try:
            self._file = path.open("ab", buffering=0)
            self._end = _terminated_size(path)
            self._file.truncate(self._end)
        except OSError as error:
            raise RunError(f"{path}: {reason(error)}") from error

    def append(self, event: str, **values: Any) -> Event:
        """Write one event, and return it once it is on the disk.

        Raises RunError if it cannot be written, with the log left as it was before.
        """
        record: Event = {"v": VERSION, "time": time.time(), "event": event, **values}
        line = json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:
            self._take_back()
            raise RunError(f"{self._path}: {reason(error)}; the run is intact and can be resumed") from error
        self._end += len(line)
        return record

    def close(self) -> None:
        self._file.close()

    def _take_back(self) -> None:
        """Cut off a half-written line. If even that fails, the next opening does it."""
        try:
            os.ftruncate(self._file.fileno(), self._end)
        except OSError:
            return


class EventReader:
    """Reads a log that may be growing; every call of `read` gives the events since the last call.

    `line` is the number of the last line read, `offset` the bytes up to its end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.offset = 0
        self.line = 0

    def read(self) -> Iterator[Event]:
        """The new events. An unterminated last line is left for later.

        Raises RunError that names the line for damage anywhere else, and for another version of the log.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self.offset)
                # A block is parsed in one go, which takes a third of the time that its lines take one by one.
                while lines := file.readlines(BLOCK_BYTES):
                    if not lines[-1].endswith(b"\n"):
                        lines.pop()
                    events = _parse_block(lines)
                    for index, raw in enumerate(lines):
                        self.offset += len(raw)
                        self.line += 1
                        yield events[index] if events else self._parse(raw)
        except FileNotFoundError as error:
            raise RunError(f"{self._path}: there is no event log: not a run, or one that never began") from error
        except OSError as error:
            raise RunError(f"{self._path}: {reason(error)}") from error

    def _parse(self, raw: bytes) -> Event:
        try:
            event = json.loads(raw)
            version, kind = event["v"], event["event"]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self._path}: line {self.line} is damaged; restore the file from a copy, or cut it before that line"
            ) from error
        if version != VERSION or not isinstance(kind, str):
            raise RunError(
                f"{self._path}: line {self.line} is of log version {version!r}; this mnas reads version {VERSION}"
            )
        return dict(event)


def _parse_block(lines: list[bytes]) -> list[Event] | None:
    """The events of some lines, None if one of them is not an event of this version: the caller then finds which.

    A JSON string contains no line end, so no event can span two lines.
    """
    try:
        events = json.loads(b"[" + b",\n".join(lines) + b"]")
        good = all(event["v"] == VERSION and isinstance(event["event"], str) for event in events)
        return events if good and len(events) == len(lines) else None
    except (ValueError, KeyError, TypeError):
        return None


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under another name and rename it, so that it is either complete or absent. Raises RunError."""
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):  # there may be no folder, or one that cannot be written
            beside.unlink()
        raise RunError(f"{path}: cannot be written: {reason(error)}") from error


def _terminated_size(path: Path) -> int:
    """Bytes up to and including the last line end; reads backwards, so a long log costs nothing."""
    size = path.stat().st_size
    with path.open("rb") as file:
        end = size
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            position = file.read(end - start).rfind(b"\n")
            if position >= 0:
                return start + position + 1
            end = start
    return 0
