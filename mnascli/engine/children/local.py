"""Children on this machine.

They are forked from a server that has already imported torch, so one costs milliseconds instead of seconds; each is
pinned to its cores, writes its output to its own file, and dies with the process that started it.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnascli.cores import usable_cores
from mnascli.engine.children.executor import Finished, Started, Task, TaskEvent, TaskFailed, TaskUnwanted
from mnascli.engine.children.places import Place, places_of, visible_gpus
from mnascli.errors import MnasError

if TYPE_CHECKING:
    from mnascli.engine.config import Config

# The main script too, or each child would run it again; torch._dynamo because the first optimizer imports it.
PRELOAD = ["__main__", "torch._dynamo", "mnascli.engine.children.work"]


@dataclass
class _Worker:
    """A place with the lock that limits it to one child at a time."""

    number: int
    place: Place
    lock: threading.Lock = field(default_factory=threading.Lock)


def places(config: Config) -> Sequence[Place]:
    """The places of this machine. Raises UsageError for GPUs that do not exist."""
    return places_of(
        usable_cores(),
        visible_gpus(config.gpus),
        threads=config.threads,
        per_gpu=config.per_gpu,
        most=config.workers,
    )


def open_executor(config: Config) -> LocalProcesses:
    return LocalProcesses(places(config))


class LocalProcesses:
    """`Executor` with a child of this machine in each of the places."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = tuple(places)
        self._workers = [_Worker(n, place) for n, place in enumerate(self.places)]
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)

    @contextmanager
    def reserve(self, cores: Collection[int]) -> Iterator[None]:
        taken = [worker for worker in self._workers if not set(cores).isdisjoint(worker.place.cores)]
        for worker in taken:
            worker.lock.acquire()
        try:
            yield
        finally:
            for worker in taken:
                worker.lock.release()

    def map(self, tasks: Sequence[Task]) -> Generator[TaskEvent, None, None]:
        waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
        for task in tasks:
            waiting.put(task)
        events: queue.SimpleQueue[TaskEvent | BaseException] = queue.SimpleQueue()
        stop = threading.Event()
        if tasks:
            _start_server()
        threads = [
            threading.Thread(target=self._work, args=(worker, waiting, events, stop), daemon=True)
            for worker in self._workers
        ]
        for thread in threads:
            thread.start()
        try:
            left = len(tasks)
            while left:
                event = events.get()
                if isinstance(event, BaseException):
                    raise event
                left -= not isinstance(event, Started)
                yield event
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _work(
        self,
        worker: _Worker,
        waiting: queue.SimpleQueue[Task],
        events: queue.SimpleQueue[TaskEvent | BaseException],
        stop: threading.Event,
    ) -> None:
        try:
            while not stop.is_set():
                # Taking the lock for one task at a time lets a measurement in between two tasks.
                if not worker.lock.acquire(timeout=0.2):
                    continue  # its core is reserved; all may be done before it is released
                try:
                    if stop.is_set():
                        return
                    task = waiting.get_nowait()
                    if not task.is_wanted():
                        events.put(TaskUnwanted(task.key))
                        continue
                    events.put(Started(task.key, worker.number))
                    events.put(self._run(task, worker, stop))
                finally:
                    worker.lock.release()
        except queue.Empty:
            return
        except BaseException as error:
            events.put(error)

    def _run(self, task: Task, worker: _Worker, stop: threading.Event) -> TaskEvent:
        receiver, sender = self._context.Pipe(duplex=False)
        child = self._context.Process(
            target=_child, args=(sender, task.function, task.arguments, worker.place, str(task.output))
        )
        child.start()
        sender.close()
        try:
            answer = _wait(receiver, lambda: stop.is_set() or not task.is_wanted(), task.timeout_s)
            if answer is None and not task.is_wanted():
                return TaskUnwanted(task.key)
            if answer == "timeout":
                return TaskFailed(task.key, "timeout", f"took longer than {task.timeout_s:g} s and was stopped")
            if answer is not None:
                succeeded, value = answer
                return Finished(task.key, value) if succeeded else TaskFailed(task.key, *value)
            child.join(5)
            return TaskFailed(task.key, *_death(child.exitcode, task.output))
        finally:
            child.kill()
            child.join()
            receiver.close()


def _wait(receiver: Connection, stopped: Callable[[], bool], timeout_s: float | None) -> Any:
    """The child's answer; None if it died without one, 'timeout' if it took too long."""
    began = time.monotonic()
    while not receiver.poll(0.2):
        if stopped():
            return None
        if timeout_s is not None and time.monotonic() - began > timeout_s:
            return "timeout"
    try:
        return receiver.recv()
    except EOFError:
        return None


def _start_server() -> None:
    """Start the server that forks the children, ignoring Ctrl-C, which would end its imports with a traceback."""
    resource_tracker.ensure_running()  # starting it unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited; the parent decides what is stopped
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _death(code: int | None, output: Path) -> tuple[str, str]:
    """Kind and reason for a child that ended without an answer."""
    lines = output.read_text(errors="replace").strip().splitlines() if output.is_file() else []
    last = f": {lines[-1]}" if lines else ""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        if -code == signal.SIGKILL:
            return "killed", "killed by SIGKILL, probably for lack of memory: use a smaller batch or fewer workers"
        return "crashed", f"crashed with {name}{last}"
    return "crashed", f"ended with exit code {code}{last}"


def _child(
    sender: Connection,
    function: Callable[..., Any],
    arguments: dict[str, Any],
    place: Place,
    output: str,
) -> None:
    """What runs in the child."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    with Path(output).open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, place.cores)
    os.environ["CUDA_VISIBLE_DEVICES"] = place.gpu or ""  # torch reads it once, when it starts CUDA
    _prefer_as_victim()
    try:
        sender.send((True, function(**arguments, place=place)))
    except MemoryError:
        sender.send((False, ("memory", "ran out of memory: use a smaller batch size or fewer workers")))
    except Exception as error:
        traceback.print_exc()
        sys.stderr.flush()
        kind = "memory" if "out of memory" in str(error).lower() else type(error).__name__
        reason = str(error) if isinstance(error, MnasError) else f"{type(error).__name__}: {error}"
        sender.send((False, (kind, reason.splitlines()[0] if reason else kind)))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _prefer_as_victim() -> None:
    """If Linux runs out of memory, it should kill a child and not the search."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return
