"""Children on this machine: pinned, with the GPU that they were given, deaf to Ctrl-C."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tasks
import torch
from executor_conformance import ExecutorConformance

from mnascli.cores import usable_cores
from mnascli.engine.children.executor import Finished, Started
from mnascli.engine.children.local import LocalProcesses
from mnascli.engine.children.places import places_of, visible_gpus


class TestLocalProcesses(ExecutorConformance):
    def make(self) -> LocalProcesses:
        return LocalProcesses(places_of(usable_cores(), most=2))

    @pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system cannot pin processes")
    def test_children_are_pinned_to_different_cores(self, tmp_path: Path) -> None:
        executor = LocalProcesses(places_of(usable_cores()))
        events = executor.map([self.task(n, tmp_path, tasks.cores) for n in range(len(executor.places))])
        used = [tuple(event.value) for event in events if isinstance(event, Finished)]
        assert all(len(cores) == 1 for cores in used)

    @pytest.mark.skipif(sys.platform != "linux", reason="cores are reserved on Linux only")
    def test_nothing_runs_on_a_reserved_core(self, tmp_path: Path) -> None:
        executor = LocalProcesses(places_of(usable_cores()))
        if len(executor.places) < 2:
            pytest.skip("one core only: nothing is left to run on")
        reserved = max(os.sched_getaffinity(0))
        with executor.reserve({reserved}):
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

    def test_each_child_sees_the_gpu_of_its_place_alone(self, tmp_path: Path) -> None:
        """With a stand-in for the GPUs: what torch would start with."""
        executor = LocalProcesses(places_of(usable_cores(), ("3", "GPU-5"), per_gpu=2))
        assert [place.gpu for place in executor.places] == ["3", "GPU-5", "3", "GPU-5"]
        events = list(executor.map([self.task(n, tmp_path, tasks.gpu) for n in range(12)]))
        place_of = {event.key: executor.places[event.worker] for event in events if isinstance(event, Started)}
        seen = {event.key: event.value for event in events if isinstance(event, Finished)}
        assert seen == {key: place.gpu for key, place in place_of.items()} and len(seen) == 12

    def test_without_a_gpu_a_child_sees_none(self, tmp_path: Path) -> None:
        executor = LocalProcesses(places_of(usable_cores()[:1]))
        (seen,) = [one.value for one in executor.map([self.task(0, tmp_path, tasks.gpu)]) if isinstance(one, Finished)]
        assert seen == ""

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")
    def test_torch_finds_one_gpu_in_each_child(self, tmp_path: Path) -> None:
        executor = LocalProcesses(places_of(usable_cores(), visible_gpus()))
        slow = [replace(self.task(n, tmp_path, tasks.cuda), timeout_s=60) for n in range(len(executor.places))]
        assert {event.value for event in executor.map(slow) if isinstance(event, Finished)} == {1}
