"""`Executor` on a Ray cluster: each task is one Ray task, which runs the same child as locally, on its node.

The Ray task streams what the child prints, and then its event, so nodes need no file system in common for that. A node
that dies costs its tasks another start elsewhere, `RESTARTS` times. Cores and GPUs are those that Ray gave the task.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import tempfile
import threading
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnascli.cores import usable_cores
from mnascli.engine.children.executor import Finished, Started, Task, TaskEvent, TaskFailed, TaskUnwanted
from mnascli.engine.children.local import LocalProcesses
from mnascli.engine.children.places import Place
from mnascli.errors import MnasError, UsageError

if TYPE_CHECKING:
    from mnascli.engine.config import Config

RESTARTS = 3  # of a task whose node died
POLL_S = 0.2
SAY_EVERY_S = 1.0  # what a child printed is sent so often
NO_RAY = "executor: ray: needs ray: pip install 'mnas[ray]'"


def places(config: Config) -> Sequence[Place]:
    """One place for each training that the cluster has room for. Raises UsageError where it has room for none."""
    ray = connect(config.cluster)
    there = ray.cluster_resources()
    cpus, gpus = int(there.get("CPU", 0)), int(there.get("GPU", 0))
    if config.gpus is not None and config.gpus > gpus:
        raise UsageError(f"gpus: {config.gpus}: the cluster has {gpus or 'none'}: lower it, or add nodes with GPUs")
    gpus = gpus if config.gpus is None else config.gpus
    count = gpus * config.per_gpu if gpus else cpus // config.threads
    if count < 1:
        raise UsageError(f"threads: {config.threads}: the cluster has {cpus} CPUs: lower it, or add nodes")
    each = max(1, cpus // count) if gpus else config.threads
    gpu = "any" if gpus else None  # which one, Ray decides
    return (Place(tuple(range(each)), gpu),) * min(count, config.workers or count)


def open_executor(config: Config) -> RayTasks:
    return RayTasks(places(config), gpu_share=1 / config.per_gpu)


def connect(address: str | None) -> Any:
    """Ray, connected to the cluster at an address ('auto': the one of this machine), or started on this machine alone.

    Raises UsageError without Ray, MnasError where the cluster cannot be reached.
    """
    try:
        import ray
    except ImportError as error:
        raise UsageError(NO_RAY) from error
    if not ray.is_initialized():
        here: dict[str, Any] = {"include_dashboard": False} if address is None else {"address": address}
        try:
            ray.init(log_to_driver=False, configure_logging=False, **here)
        except Exception as error:  # of many kinds: no cluster, another version, a missing token
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise MnasError(f"--cluster {address or 'of this machine'}: cannot be reached: {said[0]}") from error
    return ray


@dataclass
class _Running:
    """A task on the cluster: its stream, the number of its place, and how often its node died."""

    task: Task
    number: int
    stream: Any
    deaths: int = 0
    is_started: bool = False


class RayTasks:
    """`Executor` with as many Ray tasks at once as there are places, which are all alike.

    Each takes `gpu_share` of a GPU, if its place has one.
    """

    def __init__(self, places: Sequence[Place], gpu_share: float = 1.0) -> None:
        self.places = tuple(places)
        self._gpu_share = gpu_share

    def reserve(self, cores: Collection[int]) -> AbstractContextManager[None]:
        """Nothing: a machine that measures joins the cluster with as many CPUs fewer."""
        return nullcontext()

    def map(self, tasks: Sequence[Task]) -> Generator[TaskEvent, None, None]:
        import ray

        waiting, free = list(reversed(tasks)), list(reversed(range(len(self.places))))
        running: list[_Running] = []
        try:
            while waiting or running:
                while waiting and free:
                    task = waiting.pop()
                    if not task.is_wanted():
                        yield TaskUnwanted(task.key)
                        continue
                    number = free.pop()
                    running.append(_Running(task, number, self._submit(task, number)))
                for one in list(running):
                    event = self._next(one)
                    if isinstance(event, Started):
                        yield event
                    elif event is not None:
                        running.remove(one)
                        free.append(one.number)
                        yield event
                if running:
                    ray.wait([one.stream for one in running], timeout=POLL_S)
        finally:
            for one in running:
                _cancel(one)

    def _submit(self, task: Task, number: int) -> Any:
        import ray

        place = self.places[number]
        how = {"num_cpus": len(place.cores), "num_gpus": self._gpu_share if place.gpu else 0, "max_retries": 0}
        plain = (task.key, task.function, task.arguments, task.timeout_s)
        return ray.remote(run_on_node).options(num_returns="streaming", **how).remote(plain, len(place.cores))

    def _next(self, one: _Running) -> TaskEvent | None:
        """The next event of a task, if it is there; what was printed meanwhile is written to its file."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        if not one.task.is_wanted():
            _cancel(one)
            return TaskUnwanted(one.task.key)
        try:
            while ray.wait([one.stream], timeout=0)[0]:
                piece = ray.get(next(one.stream))
                if isinstance(piece, bytes):
                    with one.task.output.open("ab") as file:
                        file.write(piece)
                elif isinstance(piece, Started):
                    if not one.is_started:
                        one.is_started = True
                        return Started(one.task.key, one.number)
                else:
                    return _typed(piece)
        except RayTaskError as error:  # not the child's: what runs it on the node failed
            return TaskFailed(one.task.key, type(error.cause).__name__, _last_line(error))
        except (RayError, StopIteration) as error:
            one.deaths += 1
            if one.deaths > RESTARTS:
                reason = f"its node died {one.deaths} times, the last time: {_last_line(error)}"
                return TaskFailed(one.task.key, "node", reason)
            one.stream = self._submit(one.task, one.number)
        return None


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _typed(event: Any) -> TaskEvent:
    assert isinstance(event, Finished | TaskFailed | TaskUnwanted)
    return event


def _cancel(one: _Running) -> None:
    """Stop a task; what runs of it on its node ends its child and then itself."""
    import ray

    with contextlib.suppress(Exception):  # it may have ended, and its node too
        ray.cancel(one.stream)


def run_on_node(plain: tuple[Any, ...], cpus: int) -> Iterator[Any]:
    """What runs on the node: `LocalProcesses` with one place; yields what the child prints (bytes) and its events."""
    key, function, arguments, timeout_s = plain
    with tempfile.TemporaryDirectory(prefix="mnas") as folder, _own_cores(cpus) as cores:
        output = Path(folder) / "output.txt"
        task = Task(key, function, arguments, output, timeout_s=timeout_s)
        place = Place(cores, (os.environ.get("CUDA_VISIBLE_DEVICES") or "").split(",")[0] or None)
        events: queue.SimpleQueue[TaskEvent] = queue.SimpleQueue()
        stop = threading.Event()
        thread = threading.Thread(target=_run, args=(task, place, events, stop))
        thread.start()
        read, ended = 0, False
        try:
            while not ended:
                try:
                    event = events.get(timeout=SAY_EVERY_S)
                except queue.Empty:
                    event = None
                content = output.read_bytes()[read:] if output.exists() else b""
                read += len(content)
                if content:
                    yield content
                if event is not None:
                    yield event
                    ended = not isinstance(event, Started)
        finally:  # also where the task is cancelled: no child outlives it
            stop.set()
            thread.join()


def _run(task: Task, place: Place, events: queue.SimpleQueue[TaskEvent], stop: threading.Event) -> None:
    """Run one task in a child, until it ends or is to stop."""
    for event in LocalProcesses([place]).map([replace(task, is_wanted=lambda: not stop.is_set())]):
        events.put(event)


@contextlib.contextmanager
def _own_cores(count: int) -> Iterator[tuple[int, ...]]:
    """So many cores of this node that no other task of ours has; Ray counts CPUs and does not say which.

    A lock file for each core is held as long as the cores are, and freed by the system if this process dies.
    """
    folder = Path(tempfile.gettempdir()) / f"mnas-cores-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    held, cores = [], list[int]()
    for core in usable_cores():
        file = (folder / str(core)).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        held.append(file)
        cores.append(core)
        if len(cores) == count:
            break
    try:
        yield tuple(cores) or tuple(usable_cores()[:count])
    finally:
        for file in held:
            file.close()
