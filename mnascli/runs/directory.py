"""Run directories: made once, written by one process at a time, read by any.

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
LOOKS, LOOK_S = 10, 0.02  # how often, and how long apart, a lock is tried
NAME_BYTES = 200  # of the 255 that a file's name may have: the exported file is named after the run, with more behind


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
        """Log an event, fold it into `state`, tell the listeners. Raises RunError if it cannot be written."""
        record = self._log.append(event, **values)
        self.state.apply(record)
        for listener in self.listeners:
            listener(record)

    def enter(self, phase: str) -> None:
        """Log that a phase begins, if it is not the one that the run is in."""
        if self.state.phase != phase:
            self.append("phase", phase=phase)

    def trial_folder(self, trial: int) -> Path:
        """The folder for what is kept of a trial, made if it is not there."""
        folder = trial_folder(self.path, trial)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def close(self) -> None:
        """Let another process write. The lock goes with the process too, also under SIGKILL."""
        self._log.close()
        with suppress(OSError, ValueError):  # full disk, or closed already
            self._lock.truncate(0)  # nobody on any machine writes it any more
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def create_run(path: Path, config_yaml: str, meta: dict[str, Any]) -> Run:
    """Make a run directory and open it. Raises UsageError for a bad name, or where something stands there already."""
    check_name(path.name)
    if path.exists():
        raise UsageError(f"{path}: exists already: take another --name, or --resume {path} to go on with it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made beside its place and renamed, so that a run is whole or not there.
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
    """Raises UsageError for a name that files of a run could not have, which would be found out at its end."""
    if len(os.fsencode(name)) > NAME_BYTES:
        raise UsageError(f"--name {name[:40]}...: {len(os.fsencode(name))} bytes long, at most {NAME_BYTES} are taken")
    if not name.isprintable():
        raise UsageError(f"--name {name!r}: a name of letters that can be printed was expected")


def trial_folder(run: Path, trial: int) -> Path:
    """Where what is kept of a trial lies; see the functions below for its files."""
    return run / "trials" / f"{trial:06d}"


def output_file(folder: Path) -> Path:
    """What the child that trained it printed, in the folder of a trial or of a long training."""
    return folder / "stderr.txt"


def latency_file(folder: Path, device: str) -> Path:
    """The measurement of a trial on a device, as JSON."""
    return folder / f"latency-{device}.json"


def measuring_output_file(folder: Path, device: str) -> Path:
    """The last words of a measurement that failed."""
    return folder / f"measure-{device}.txt"


def open_run(path: Path) -> Run:
    """Open a run to go on writing it. Raises RunError if it is none, is damaged, or another process writes it."""
    if not is_run(path):
        raise RunError(f"{path}: not a run directory (it has no {EVENTS}); `mnas runs list` shows the runs there are")
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
            f"{path / EVENTS}: line {reader.line} does not fit what stands before it ({error!r}); "
            "put the file back from a copy, or cut it before that line"
        ) from error


def read_meta(path: Path) -> dict[str, Any]:
    """What meta.json says. Raises RunError where it is missing or damaged."""
    file = path / "meta.json"
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{file}: cannot be read: {error}") from error


def list_runs(root: Path) -> list[Path]:
    """The runs below a folder, the one written to last coming first. Raises RunError where a file stands there."""
    if paths.is_file(root):
        raise RunError(f"{root}: is a file: --runs names the folder of the runs")
    runs = [path.parent for path in root.glob(f"*/{EVENTS}") if path.is_file()]
    return sorted(runs, key=lambda path: (path / EVENTS).stat().st_mtime, reverse=True)


def find_run(name: str, root: Path) -> Path:
    """The run of that name below `root`, or at that path. Raises RunError naming the runs there are."""
    for path in (root / name, Path(name)):
        if is_run(path):
            return path
    there = ", ".join(path.name for path in list_runs(root)[:8]) or "none"
    raise RunError(f"no run called {name[:80]!r} in {root}: there are {there}")


def _lock(path: Path) -> Any:
    """The lock file, held. `is_written` holds it for a moment when it looks, so one that is taken is tried again."""
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
