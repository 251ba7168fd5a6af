"""What an executor is: something that runs tasks in separate processes, so that a crash costs only one task."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mnascli.engine.children.places import Place


@dataclass(frozen=True)
class Task:
    """`function(**arguments, place=...)` in a child; function and arguments must be picklable.

    The child gets its place and needs nothing else. What it prints goes to the file `output`. A task that is not (or no
    longer) wanted is not started, or is stopped; one that takes longer than `timeout_s` fails.
    """

    key: int
    function: Callable[..., Any]
    arguments: dict[str, Any]
    output: Path
    is_wanted: Callable[[], bool] = lambda: True
    timeout_s: float | None = None


@dataclass(frozen=True)
class Started:
    """`worker` is the number of the task's place among `Executor.places`."""

    key: int
    worker: int


@dataclass(frozen=True)
class Finished:
    key: int
    value: Any


@dataclass(frozen=True)
class TaskFailed:
    """`kind` groups similar failures: an exception's name, or memory, timeout, killed, crashed."""

    key: int
    kind: str
    reason: str


@dataclass(frozen=True)
class TaskUnwanted:
    key: int


TaskEvent = Started | Finished | TaskFailed | TaskUnwanted


class Executor(Protocol):
    """See `factory` for how one is chosen."""

    @property
    def places(self) -> Sequence[Place]:
        """Where children run, one at a time in each."""
        ...

    def map(self, tasks: Sequence[Task]) -> Generator[TaskEvent, None, None]:
        """Run all the tasks; for each, `Started` and then one of the other events, in the order in which they happen.

        `output` is a file on this machine. Paths in a task's arguments (data, a supernet, the folder of a long
        training) must exist under the same name where the child runs, and what it writes there must be visible here
        once it is `Finished`. Leaving the iterator before its end stops the running tasks.
        """
        ...

    def reserve(self, cores: Collection[int]) -> AbstractContextManager[None]:
        """A context in which no task runs on these cores of this machine."""
        ...
