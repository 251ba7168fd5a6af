"""The near end of `worker.py`: starts it with any command line (Python here, ssh to a board), asks and waits."""

from __future__ import annotations

import base64
import contextlib
import json
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Literal

from mnascli.devices.device import Conditions, DeviceError, DeviceLostError, ModelError, Session, read_model

WORKER_FILE = Path(__file__).with_name("worker.py")

# How much longer than its own watchdog the worker may be silent: a slow connection, a busy machine.
_GRACE_S = 10.0


class WorkerProcess:
    """A worker, started when it is needed and again after it ended. It holds every model sent until `release`.

    `command` starts `worker.py` with its options; `name` is the device in messages. `send` is how models get there:
    'path' on this machine, 'bytes' through the connection. A connection that fails ends with `lost_exit_code` (255 for
    ssh), which distinguishes a device that went away from a worker that crashed.
    """

    def __init__(
        self,
        command: Sequence[str],
        name: str,
        *,
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
        """Raises DeviceError if the worker cannot be started or is stuck, DeviceLostError if the device is gone."""
        self._start()
        return Conditions.from_json(self._ask({"command": "conditions"}, _GRACE_S)["conditions"])

    def run(
        self, model: Path, *, warmups: int, warmup_min_s: float, runs: int, min_s: float, timeout_s: float
    ) -> Session:
        """See `Device.run`."""
        self._start()
        began = time.monotonic()
        try:
            request = {
                "command": "run",
                "model": self._load(model),
                "warmups": warmups,
                "warmup_min_s": warmup_min_s,
                "runs": runs,
                "min_s": min_s,
                "timeout_s": timeout_s,
            }
            answer = self._ask(request, timeout_s + _GRACE_S)
        except DeviceLostError:
            raise
        except DeviceError as error:
            late = time.monotonic() - began >= timeout_s
            reason = f"not done within {timeout_s:g} s" if late else str(error)
            raise ModelError(f"{model.name}: does not run on {self._name}: {reason}", self._read_log()) from error
        before, after = Conditions.from_json(answer["before"]), Conditions.from_json(answer["after"])
        return Session.from_samples(answer["samples_ms"], before, after)

    def release(self, model: Path) -> None:
        """Make the worker forget the model; a worker that is gone already has."""
        digest = self._held.pop(model, None)
        if digest is not None and digest not in self._held.values() and self._running():
            with contextlib.suppress(DeviceError):
                self._ask({"command": "forget", "model": digest}, _GRACE_S)

    def close(self) -> None:
        """End the worker. May be called twice."""
        process, self._process = self._process, None
        self._held.clear()
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _start(self) -> None:
        if self._running():
            return
        self.close()
        # A file, not a pipe: a pipe that nobody reads would stop the worker when it is full.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed in close)
        try:
            process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
            )
        except OSError as error:
            raise DeviceError(f"{self._name}: {self._command[0]} cannot be started: {error.strerror}") from error
        self._process, self._answers = process, queue.Queue()
        threading.Thread(target=_forward, args=(process.stdout, self._answers), daemon=True).start()
        try:
            self._receive(self._start_timeout_s)
        except DeviceLostError:
            raise
        except DeviceError as error:
            self.close()
            raise DeviceError(f"{self._name}: the measuring worker does not start: {error}") from error

    def _load(self, model: Path) -> str:
        """The digest under which the worker holds the model. Read each time: the file may have been rewritten."""
        content, digest = read_model(model)
        if self._held.get(model) != digest:
            self.release(model)
            place = (
                {"path": str(model.absolute())}
                if self._send == "path"
                else {"bytes": base64.b64encode(content).decode("ascii")}
            )
            self._ask({"command": "load", "model": digest, **place}, self._start_timeout_s)
            self._held[model] = digest
        return digest

    def _ask(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended: the missing answer will say how
        return self._receive(timeout_s)

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        """The next answer. Raises DeviceError if it is an error or none comes; a worker without an answer is ended."""
        assert self._process is not None
        try:
            line = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            self._process.kill()
            self._process.wait()
            self._held.clear()
            message = f"no answer in {timeout_s:g} s"
            # The worker ends itself when a run takes too long; if not even that arrives, it is the connection.
            if self._lost_exit_code is not None:
                raise DeviceLostError(f"{self._name}: {message}") from None
            raise DeviceError(message) from None
        if not line.endswith("\n"):
            code = self._process.wait()
            self._held.clear()
            if code == self._lost_exit_code:
                raise DeviceLostError(f"{self._name}: the connection is gone: {_last_line(self._read_log())}")
            raise DeviceError(f"the worker {_how_it_ended(code)} {_last_line(self._read_log())}".rstrip())
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            self._process.kill()
            raise DeviceError(f"an answer that cannot be understood: {line.strip()[:80]!r}") from None
        if "error" in answer:
            raise DeviceError(answer["error"].splitlines()[0])
        return answer

    def _read_log(self) -> str:
        """The last 4000 characters the worker wrote to stderr."""
        if self._log is None:
            return ""
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")[-4000:]


def _forward(stream: IO[str], answers: queue.Queue[str]) -> None:
    """Pass on every line, and at the end the rest of one: a text without a line end means that nothing follows."""
    with contextlib.suppress(OSError, ValueError):
        for line in stream:
            if line.endswith("\n"):
                answers.put(line)
    answers.put("")


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _last_line(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip() and not line.startswith("INFO:")]
    return f"({lines[-1][:200]})" if lines else ""


class OnWorker:
    """What the devices whose models a worker runs have in common."""

    _worker: WorkerProcess

    def run(
        self, model: Path, *, warmups: int, warmup_min_s: float, runs: int, min_s: float, timeout_s: float
    ) -> Session:
        return self._worker.run(
            model, warmups=warmups, warmup_min_s=warmup_min_s, runs=runs, min_s=min_s, timeout_s=timeout_s
        )

    def release(self, model: Path) -> None:
        self._worker.release(model)

    def close(self) -> None:
        self._worker.close()
