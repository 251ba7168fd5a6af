"""What every executor does: all tasks run, each failure is told and costs one task, and leaving early stops them."""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import tasks

from mnascli.engine.children.executor import Executor, Finished, LocalProcesses, Started, Task, TaskFailed, TaskUnwanted


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
        until = time.monotonic() + 0.5
        given_up = replace(
            self.task(1, tmp_path, tasks.break_down, how="timeout"), is_wanted=lambda: time.monotonic() < until
        )
        events = list(self.make().map([unwanted, given_up, self.task(2, tmp_path, tasks.double, value=2)]))
        assert [type(event) for event in events if event.key == 0] == [TaskUnwanted]
        assert [type(event) for event in events if event.key == 1] == [Started, TaskUnwanted]
        assert [type(event) for event in events if event.key == 2] == [Started, Finished]

    def test_leaving_early_stops_what_runs(self, tmp_path: Path) -> None:
        began = time.monotonic()
        events = self.make().map([self.task(n, tmp_path, tasks.break_down, how="timeout") for n in range(2)])
        assert isinstance(next(events), Started)
        events.close()  # type: ignore[attr-defined]
        assert time.monotonic() - began < 20  # and not the minute that the tasks would sleep


class TestLocalProcesses(ExecutorConformance):
    def make(self) -> LocalProcesses:
        return LocalProcesses(workers=2)

    @pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system cannot pin processes")
    def test_children_are_pinned_to_different_cores(self, tmp_path: Path) -> None:
        executor = LocalProcesses()
        events = executor.map([self.task(n, tmp_path, tasks.cores) for n in range(executor.places)])
        used = [tuple(event.value) for event in events if isinstance(event, Finished)]
        assert all(len(cores) == 1 for cores in used)

    @pytest.mark.skipif(sys.platform != "linux", reason="cores are reserved on Linux only")
    def test_nothing_runs_on_a_reserved_core(self, tmp_path: Path) -> None:
        executor = LocalProcesses()
        if executor.places < 2:
            pytest.skip("one core only: nothing is left to run on")
        reserved = max(os.sched_getaffinity(0))
        with executor.reserve(reserved):
            events = executor.map([self.task(n, tmp_path, tasks.cores) for n in range(4)])
            used = {core for event in events if isinstance(event, Finished) for core in event.value}
        assert used and reserved not in used

    def test_ctrl_c_is_for_the_parent_alone(self, tmp_path: Path) -> None:
        """A terminal sends it to all; the children and the server that forks them go on until they are told to end."""
        executor = self.make()
        for _ in range(2):
            events = list(executor.map([self.task(0, tmp_path, tasks.interrupt_the_group)]))
            assert [event.value for event in events if isinstance(event, Finished)] == ["still here"]
        assert (tmp_path / "0.txt").read_text() == ""
