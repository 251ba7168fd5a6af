"""The state of a run, for every face of it. The lock, not the log, shows whether it is still running."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

from mnascli.runs.state import RunState, Trial

LOCK = "LOCK"


def is_written(path: Path) -> bool | None:
    """Whether a process is writing the run; None if that cannot be known (another machine may be).

    The lock is tried and released at once; a process that wants to write waits for that (`open_run`). The process
    number in the file would not do: by now it may be another process's, or it is from another container.
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
    """A trial's state, given the state of its run: nothing is running in a run that no process writes."""
    ended = run in ("interrupted", "stopped", "finished")
    return "interrupted" if ended and trial.state == "running" else trial.state
