"""Run directories: created once, written by one process at a time, read by any.

runs/<name>/
  config.yaml   resolved      meta.json   versions, hashes, command line      events.jsonl   the truth
  searcher/step-000012.pt     trials/000123/     export/     LOCK
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from mnascli import paths
from mnascli.errors import UsageError, reason
from mnascli.runs.log import Event, EventReader, EventWriter, RunError, write_atomically
from mnascli.runs.standing import LOCK
from mnascli.runs.state import RunState, fold

EVENTS = "events.jsonl"
LOOKS, LOOK_S = 10, 0.02  # how many times, and at what interval, a lock is tried
NAME_BYTES = 200  # of the 255 that a file name may have: the exported file's name is the run's with a suffix


class Run:
    """A run that this process writes: holds the lock, appends events, keeps the state folded.

    `listeners` are called with every event after it is on the disk.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = _lock(path)
        try:
            self.state = read_state(path)
            self._log = EventWriter(path / EVENTS)
        except BaseException:
            self._lock.close()
            raise
        self.listeners: list[Callable[[Event], None]] = []

    def append(self, event: str, **values: Any) -> None:
        """Log an event, fold it into `state`, call the listeners. Raises RunError if it cannot be written."""
        record = self._log.append(event, **values)
        self.state.apply(record)
        for listener in self.listeners:
            listener(record)

    def enter(self, phase: str) -> None:
        """Log that a phase begins, unless the run is already in it."""
        if self.state.phase != phase:
            self.append("phase", phase=phase)

    def warn(self, message: str | None) -> None:
        """Log a warning that the log does not have yet; None is none."""
        if message is not None and message not in self.state.warnings:
            self.append("warned", message=message)

    def trial_folder(self, trial: int) -> Path:
        """The folder for a trial's files, created if it is missing."""
        folder = trial_folder(self.path, trial)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def close(self) -> None:
        """Let another process write. The lock is also released when the process ends, even by SIGKILL."""
        self._log.close()
        with suppress(OSError, ValueError):  # full disk, or closed already
            self._lock.truncate(0)  # no process on any machine writes the run any more
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def create_run(path: Path, config_yaml: str, meta: dict[str, Any]) -> Run:
    """Create a run directory and open it. Raises UsageError for a bad name, or if `path` already exists."""
    check_name(path.name)
    if path.exists():
        raise UsageError(f"{path}: already exists: choose another --name, or --resume {path} to continue it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made under another name and renamed, so that a run is either complete or absent.
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        beside.chmod(0o755)
        write_atomically(beside / "config.yaml", config_yaml.encode())
        write_atomically(beside / "meta.json", (json.dumps(meta, indent=2, sort_keys=True) + "\n").encode())
        write_atomically(beside / EVENTS, b"")
        beside.rename(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be made: {reason(error)}") from error
    run = Run(path)
    run.append("run_started")
    return run


def check_name(name: str) -> None:
    """Raises UsageError for a name that a run's files could not have, which would show only at the end of the run."""
    if len(os.fsencode(name)) > NAME_BYTES:
        raise UsageError(f"--name {name[:40]}...: {len(os.fsencode(name))} bytes long, {NAME_BYTES} are allowed")
    if not name.isprintable():
        raise UsageError(f"--name {name!r}: expected a name of printable characters")


def trial_folder(run: Path, trial: int) -> Path:
    """The folder of a trial; the functions below give its files."""
    return run / "trials" / f"{trial:06d}"


def output_file(folder: Path) -> Path:
    """What the training child printed, in the folder of a trial or of a long training."""
    return folder / "stderr.txt"


def latency_file(folder: Path, device: str) -> Path:
    """The measurement of a trial on a device, as JSON."""
    return folder / f"latency-{device}.json"


def measuring_output_file(folder: Path, device: str) -> Path:
    """The last output of a measurement that failed."""
    return folder / f"measure-{device}.txt"


def open_run(path: Path) -> Run:
    """Open a run to continue it. Raises RunError if it is not a run, is damaged, or another process is writing it."""
    if not is_run(path):
        raise RunError(f"{path}: not a run directory (it has no {EVENTS}); `mnas runs list` shows the existing runs")
    return Run(path)


def is_run(path: Path) -> bool:
    return paths.is_file(path / EVENTS)


def read_state(path: Path) -> RunState:
    """The state of a run, from its log alone. Raises RunError for a damaged log, naming the line."""
    reader = EventReader(path / EVENTS)
    try:
        return fold(reader.read())
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path / EVENTS}: line {reader.line} does not fit the lines before it ({error!r}); "
            "restore the file from a copy, or cut it before that line"
        ) from error


def read_meta(path: Path) -> dict[str, Any]:
    """The content of meta.json. Raises RunError if it is missing or damaged."""
    file = path / "meta.json"
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{file}: cannot be read: {error}") from error


def list_runs(root: Path) -> list[Path]:
    """The runs below a folder, the most recently written first. Raises RunError if `root` is a file."""
    if paths.is_file(root):
        raise RunError(f"{root}: is a file: --runs names the folder that holds the runs")
    runs = [path.parent for path in root.glob(f"*/{EVENTS}") if path.is_file()]
    return sorted(runs, key=lambda path: (path / EVENTS).stat().st_mtime, reverse=True)


def find_run(name: str, root: Path) -> Path:
    """The run of that name below `root`, or at that path. Raises RunError that lists the existing runs."""
    for path in (root / name, Path(name)):
        if is_run(path):
            return path
    there = ", ".join(path.name for path in list_runs(root)[:8]) or "none"
    raise RunError(f"no run called {name[:80]!r} in {root}: there are {there}")


def _lock(path: Path) -> Any:
    """The lock file, held. `is_written` holds it for a moment when it looks, so a lock that is taken is tried again."""
    try:
        file = (path / LOCK).open("a+")
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {reason(error)}") from error
    for attempt in range(LOOKS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            if attempt < LOOKS - 1:
                time.sleep(LOOK_S)
                continue
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise RunError(f"{path}: {holder} is writing this run; wait for it or stop it first") from error
    file.truncate(0)
    file.write(f"process {os.getpid()} on {os.uname().nodename}")
    file.flush()
    return file
