"""What every executor does: all tasks run, each failure is told and costs one task, and leaving early stops them."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import tasks

from mnascli.engine.children.executor import Executor, Finished, Started, Task, TaskFailed, TaskUnwanted


class ExecutorConformance:
    """A new executor inherits these tests; `make` gives one. Tasks have a limit of 2 s."""

    def make(self) -> Executor:
        raise NotImplementedError

    def task(self, key: int, folder: Path, function, **arguments) -> Task:  # type: ignore[no-untyped-def]
        return Task(key, function, arguments, folder / f"{key}.txt", timeout_s=2)

    def test_every_task_starts_and_finishes(self, tmp_path: Path) -> None:
        events = list(self.make().map([self.task(n, tmp_path, tasks.double, value=n) for n in range(5)]))
        assert {event.key: event.value for event in events if isinstance(event, Finished)} == {
            n: 2 * n for n in range(5)
        }
        for key in range(5):
            own = [type(event) for event in events if event.key == key]
            assert own == [Started, Finished]
        assert (tmp_path / "3.txt").read_text() == "doubling 3\n"

    def test_no_tasks(self) -> None:
        assert list(self.make().map([])) == []

    @pytest.mark.parametrize(
        ("how", "kind", "reason"),
        [
            ("exception", "RuntimeError", "RuntimeError: something odd"),
            ("said", "MnasError", "what is wrong and what to do"),
            ("memory", "memory", "ran out of memory"),
            ("killed", "killed", "SIGKILL"),
            ("crashed", "crashed", "SIGABRT"),
            ("exit", "crashed", "exit code 3: last words"),
            ("timeout", "timeout", "longer than 2 s"),
        ],
    )
    def test_a_failure_costs_one_task(self, tmp_path: Path, how: str, kind: str, reason: str) -> None:
        bad = self.task(0, tmp_path, tasks.break_down, how=how)
        good = [self.task(n, tmp_path, tasks.double, value=n) for n in (1, 2)]
        last = {event.key: event for event in self.make().map([bad, *good])}
        failure = last[0]
        assert isinstance(failure, TaskFailed)
        assert failure.kind == kind
        assert reason in failure.reason
        assert "\n" not in failure.reason
        assert "last words" in (tmp_path / "0.txt").read_text()
        assert isinstance(last[1], Finished) and isinstance(last[2], Finished)

    def test_a_limit_is_the_task_s_own(self, tmp_path: Path) -> None:
        short = self.task(0, tmp_path, tasks.sleep, seconds=2.8)
        unlimited = replace(self.task(1, tmp_path, tasks.sleep, seconds=2.8), timeout_s=None)
        last = {event.key: event for event in self.make().map([short, unlimited])}
        assert isinstance(last[0], TaskFailed) and last[0].kind == "timeout"
        assert isinstance(last[1], Finished)

    def test_what_is_unwanted_is_not_begun_and_stopped(self, tmp_path: Path) -> None:
        unwanted = replace(self.task(0, tmp_path, tasks.double, value=1), is_wanted=lambda: False)
        said = tmp_path / "1.txt"  # there once the child has begun, however long that took
        given_up = replace(
            self.task(1, tmp_path, tasks.break_down, how="timeout"), is_wanted=lambda: not said.exists(), timeout_s=60
        )
        events = list(self.make().map([unwanted, given_up, self.task(2, tmp_path, tasks.double, value=2)]))
        assert [type(event) for event in events if event.key == 0] == [TaskUnwanted]
        assert [type(event) for event in events if event.key == 1] == [Started, TaskUnwanted]
        assert [type(event) for event in events if event.key == 2] == [Started, Finished]

    def test_leaving_early_stops_what_runs(self, tmp_path: Path) -> None:
        events = self.make().map([self.task(n, tmp_path, tasks.break_down, how="timeout") for n in range(2)])
        assert isinstance(next(events), Started)
        began = time.monotonic()
        events.close()  # type: ignore[attr-defined]
        assert time.monotonic() - began < 20  # and not the minute that the tasks would sleep
