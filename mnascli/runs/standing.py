"""What state a run is in, for every face of it. The log cannot tell whether it goes on: the lock tells."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

from mnascli.runs.state import RunState, Trial

LOCK = "LOCK"


def is_written(path: Path) -> bool | None:
    """Whether a process is writing the run; None where that cannot be told (another machine may be).

    The lock is tried and let go again at once; whoever wants to write waits for that (`take_lock`). The number of the
    process in the file would not do: it is another's by now, or one of another container.
    """
    try:
        file = (path / LOCK).open("rb")
    except FileNotFoundError:
        return False
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a disk without locks
            return None
        # Some network disks keep the locks of different machines apart.
        holder = re.fullmatch(rb"process \d+ on (\S+)", file.read().strip())
    return None if holder is not None and os.fsdecode(holder[1]) != os.uname().nodename else False


def standing(path: Path, state: RunState) -> str:
    """finished, stopped, new, running, interrupted, or unknown (another machine may be writing it)."""
    if state.is_finished:
        return "finished"
    if state.stopped:
        return "stopped"
    if state.began is None:
        return "new"
    return {True: "running", False: "interrupted", None: "unknown"}[is_written(path)]


def trial_standing(trial: Trial, run: str) -> str:
    """A trial's state, that of its run being known: nothing runs in a run that nobody writes."""
    ended = run in ("interrupted", "stopped", "finished")
    return "interrupted" if ended and trial.state == "running" else trial.state
