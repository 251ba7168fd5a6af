"""The same tasks on a Ray cluster: a real one on this machine, and one of simulated nodes that die."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tasks
from executor_conformance import ExecutorConformance

from mnascli.engine.children.executor import Executor, Finished, Task
from mnascli.engine.children.places import Place

ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")

from mnascli.engine.children.ray import RayTasks, connect  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """With a home of its own, where Ray keeps its token; the nodes find the functions of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("RAY_AUTH_MODE", "disabled")
        paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[3])])
        environment = {"env_vars": {"PYTHONPATH": paths}}
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=environment)
        yield
        ray.shutdown()


class TestRay(ExecutorConformance):
    def make(self) -> Executor:
        return RayTasks([Place((0,))] * 2)

    def test_children_at_once_have_cores_of_their_own(self, tmp_path: Path) -> None:
        events = list(self.make().map([self.task(n, tmp_path, tasks.cores) for n in range(2)]))
        used = [tuple(event.value) for event in events if isinstance(event, Finished)]
        assert len(used) == 2 and all(len(cores) == 1 for cores in used)


def test_a_cluster_that_is_there_is_used() -> None:
    assert connect(None).cluster_resources()["CPU"] == 2


def test_what_is_left_early_leaves_no_child_on_its_node(tmp_path: Path) -> None:
    until_said = Task(0, tasks.say_who_and_sleep, {}, tmp_path / "0.txt", timeout_s=60)
    began = time.monotonic()
    unwanted = threading.Event()
    events = RayTasks([Place((0,))]).map([replace(until_said, is_wanted=lambda: not unwanted.is_set())])
    thread = threading.Thread(target=list, args=(events,))
    thread.start()
    while not until_said.output.exists() and time.monotonic() - began < 60:
        time.sleep(0.1)
    child = int(until_said.output.read_text())
    os.kill(child, 0)
    unwanted.set()
    thread.join()
    while time.monotonic() - began < 90:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError(f"process {child} is still there")
