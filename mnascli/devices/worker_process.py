"""The near end of `worker.py`: starts it with any command line (Python here, ssh to a board), asks and waits."""

from __future__ import annotations

import base64
import hashlib
import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Literal

from mnascli.devices.device import Conditions, DeviceError, DeviceLostError, ModelError, Session
from mnascli.errors import UsageError

WORKER_FILE = Path(__file__).with_name("worker.py")

# How much longer than its own watchdog the worker may be silent: a slow connection, a busy machine.
_GRACE_S = 10.0


class WorkerProcess:
    """A worker, started when it is needed and again after it ended.

    `command` starts `worker.py` with its options; `name` is the device in messages. `send` is how models get there:
    'path' on this machine, 'bytes' through the connection. A connection that fails ends with `lost_exit_code` (255 for
    ssh), which tells a device that went away from a worker that crashed.
    """

    def __init__(
        self,
        command: Sequence[str],
        name: str,
        send: Literal["path", "bytes"] = "path",
        lost_exit_code: int | None = None,
        start_timeout_s: float = 60.0,
    ) -> None:
        self._command = list(command)
        self._name = name
        self._send = send
        self._lost_exit_code = lost_exit_code
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()
        self._log: IO[bytes] | None = None
        self._held: dict[Path, str] = {}

    def conditions(self) -> Conditions:
        """Raises DeviceError if the worker cannot be started, DeviceLostError if the device went away."""
        answer = self._ask({"command": "conditions"}, timeout_s=_GRACE_S)
        return Conditions.from_json(answer["conditions"])

    def run(
        self, model: Path, *, warmups: int, warmup_min_s: float, runs: int, min_s: float, timeout_s: float
    ) -> Session:
        """See `Device.run`."""
        request = {
            "command": "run",
            "model": self._load(model),
            "warmups": warmups,
            "warmup_min_s": warmup_min_s,
            "runs": runs,
            "min_s": min_s,
            "timeout_s": timeout_s,
        }
        try:
            answer = self._ask(request, timeout_s=timeout_s + _GRACE_S)
        except (ModelError, DeviceLostError):
            raise
        except DeviceError as error:
            raise ModelError(f"{model.name}: does not run on {self._name}: {error}", self._last_log) from error
        before, after = Conditions.from_json(answer["before"]), Conditions.from_json(answer["after"])
        return Session.from_samples(answer["samples_ms"], before, after)
