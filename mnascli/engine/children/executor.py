"""What an executor is: something that runs tasks in processes of their own, so that a crash costs one task only."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Task:
    """`function(**arguments)`, with what it prints going to the file `output`; both must be picklable.

    A task that is not wanted (any more) is not begun, or stopped; one that takes longer than `timeout_s` fails.
    """

    key: int
    function: Callable[..., Any]
    arguments: dict[str, Any]
    output: Path
    is_wanted: Callable[[], bool] = lambda: True
    timeout_s: float | None = None


@dataclass(frozen=True)
class Started:
    key: int
    worker: int


@dataclass(frozen=True)
class Finished:
    key: int
    value: Any


@dataclass(frozen=True)
class TaskFailed:
    """`kind` groups failures alike: an exception's name, or memory, timeout, killed, crashed."""

    key: int
    kind: str
    reason: str


@dataclass(frozen=True)
class TaskUnwanted:
    key: int


TaskEvent = Started | Finished | TaskFailed | TaskUnwanted


class Executor(Protocol):
    def map(self, tasks: Sequence[Task]) -> Generator[TaskEvent, None, None]:
        """Run all the tasks; `Started` and then one of the others for each, in the order in which they happen.

        Leaving the iterator before its end stops the tasks that run.
        """
        ...

    def reserve(self, core: int | None) -> Any:
        """A context in which no task runs on that core of this machine."""
        ...
