"""What the log says of devices, folded."""

from pathlib import Path

from mnascli.runs import create_run, read_state

PHONES = [
    {"device": "pixel-6", "name": f"pixel-6-{n}", "serial": f"S{n}", "asked": f"S{n}", "profile": "pixel-6"}
    for n in (1, 2)
]


def test_a_pause_is_seen_until_it_ends(tmp_path: Path) -> None:
    with create_run(tmp_path / "run", "", {}) as run:
        run.append("devices_opened", devices=PHONES)
        assert {one.state for one in run.state.devices.values()} == {"ready"}
        run.append("device_lost", device="pixel-6", serial="S1", reason="the cable is out")
        run.append("device_set_aside", device="pixel-6", serial="S2", reason="unstable 3 times in a row")
        run.append("measuring_paused", device="pixel-6", reason="waiting for S1")
        assert run.state.paused == {"pixel-6": "waiting for S1"}
        assert [(one.state, one.reason) for one in run.state.devices.values()] == [
            ("lost", "the cable is out"),
            ("set aside", "unstable 3 times in a row"),
        ]
        run.append("device_back", device="pixel-6", serial="S1")
        run.append("measuring_resumed", device="pixel-6")
    state = read_state(tmp_path / "run")
    assert state.paused == {} and state.devices["S1"].state == "ready" and state.devices["S1"].reason == ""


def test_a_pause_ends_with_the_process(tmp_path: Path) -> None:
    with create_run(tmp_path / "run", "", {}) as run:
        run.append("devices_opened", devices=PHONES)
        run.append("measuring_paused", device="pixel-6", reason="waiting for S1")
        run.append("run_resumed")
        assert run.state.paused == {}


def test_what_is_counted_of_a_device_goes_on_and_keys_of_another_version_are_left_out(tmp_path: Path) -> None:
    with create_run(tmp_path / "run", "", {}) as run:
        run.append("devices_opened", devices=PHONES)
        run.append("asked", step=0, searcher="s", trials=[{"trial": 0, "architecture": "net"}])
        values = {"latency_ms": 1.0, "p5_ms": 1.0, "p95_ms": 1.0, "verdict": "stable"}
        run.append("measured", trial=0, device="pixel-6", serial="S1", **values)
        run.append("device_lost", device="pixel-6", serial="S1", reason="the cable is out")
        run.append("devices_opened", devices=[{"device": "pixel-6", "serial": "S1", "colour": "black"}])
    device = read_state(tmp_path / "run").devices["S1"]
    assert (device.state, device.reason, device.losses, device.measured) == ("ready", "", 1, 1)
