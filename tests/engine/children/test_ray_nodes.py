"""A simulated cluster of nodes on this machine, one of which is killed while it trains."""

import os
import threading
from pathlib import Path

import pytest
import tasks

from mnascli.engine.children.executor import Finished, Started, Task
from mnascli.engine.children.places import Place

ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")

from ray.cluster_utils import Cluster  # noqa: E402

from mnascli.engine.children.ray import RayTasks  # noqa: E402


def test_a_node_that_dies_costs_its_tasks_another_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[3])])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        environment = {"env_vars": {"PYTHONPATH": paths}}
        ray.init(address=cluster.address, log_to_driver=False, runtime_env=environment)
        work = [
            Task(n, tasks.sleep_and_double, {"value": n, "seconds": 0.5}, tmp_path / f"{n}.txt", timeout_s=120)
            for n in range(6)
        ]
        events = []
        killer = threading.Thread(target=lambda: cluster.remove_node(nodes[0], allow_graceful=False))
        for event in RayTasks([Place((0,))] * 2).map(work):
            events.append(event)
            if sum(isinstance(one, Finished) for one in events) == 2 and not killer.ident:
                killer.start()
        killer.join()
    finally:
        ray.shutdown()
        cluster.shutdown()
    values = {event.key: event.value for event in events if isinstance(event, Finished)}
    assert values == {n: 2 * n for n in range(6)}  # none lost
    assert len(events) == 12 and sum(isinstance(one, Started) for one in events) == 6  # and none told twice
