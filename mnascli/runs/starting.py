"""A search checks its data and devices before its run exists: whoever wants to watch it waits for that."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mnascli.user_dirs import cache_home


@contextmanager
def announced(run: Path) -> Iterator[None]:
    """While it lasts, `is_starting(run)` is true in other processes. The folder of the runs is not touched."""
    note = _note(run)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        file = note.open("w")
    except OSError:  # then nobody waits for it
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)  # a process that looks holds it for a moment
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


def is_starting(run: Path) -> bool:
    """Whether a search has begun whose run does not exist yet. The lock of a killed search is gone with it."""
    try:
        with _note(run).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _note(run: Path) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.realpath(run))).hexdigest()[:24]
    return cache_home() / "starting" / name
