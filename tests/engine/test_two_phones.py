"""A search on two stand-in phones, behind the real adb server, and this machine: a cable is pulled and put in again."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mnascli.devices.adb.setup import set_up_phone
from mnascli.devices.finding import find_device
from mnascli.engine.benches.bench import open_benches
from mnascli.engine.evaluator import LocalEvaluator
from mnascli.engine.opening import opened_devices
from mnascli.engine.search_loop import search
from mnascli.engine.targets import targets_by_device
from mnascli.runs import EventReader, create_run
from mnascli.search import Objective, create_searcher
from stand_ins.evaluators import Instant, small_space
from stand_ins.phone import AdbServer, StandInPhone, binary

QUICK = "{warmups: 1, warmup_min_s: 0, runs: 5, min_s: 0, sessions: 2, keep: 2, cooling: {pause_s: 0.05}}"
LENIENT = QUICK.replace("sessions", "max_spread: 9, max_difference: 9, max_drift: 9, discard_drift: 9, sessions")
TRIALS = 20


@pytest.fixture
def phones(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[StandInPhone]]:
    profiles = own_home / ".config" / "mnas" / "devices"
    profiles.mkdir(parents=True)
    (profiles / "pixel-6.yaml").write_text(
        f"name: pixel-6\nmatch: {{kind: adb, model: 'Pixel 6'}}\nmeasuring: {QUICK}\n"
    )
    (profiles / "host.yaml").write_text(f"name: host\nmatch: {{kind: host}}\nmeasuring: {LENIENT}\n")
    with AdbServer(tmp_path / "adb") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        phones = [StandInPhone(tmp_path / serial, serial=serial) for serial in ("PHONE1", "PHONE2")]
        for phone in phones:
            server.attach(phone)
            set_up_phone(find_device(phone.address), binary(tmp_path / f"benchmark_model_{phone.serial}"))
            phone.scripted(ms=2.0, ms_per_mb=30.0)
        yield phones


def test_every_trial_is_measured_on_each(tmp_path: Path, phones: list[StandInPhone]) -> None:
    benches = open_benches(["pixel-6", "host"])
    try:
        with create_run(tmp_path / "run", "", {}) as run:
            cable = Cable(phones[0])
            run.listeners.append(cable.watch)
            run.append("devices_opened", devices=opened_devices(benches))
            targets = targets_by_device({"pixel-6": 3.0, "host": 0.1}, benches)
            run.append("target_set", target_ms=targets, why="test")
            evaluator = LocalEvaluator(benches, Instant(), {}, 0, run.trial_folder)
            searcher = create_searcher("random", small_space(), seed=1)
            search(run, searcher, evaluator, Objective(target_ms=targets), trials=TRIALS, batch=4, failures=3)
            assert run.state.paused == {}
    finally:
        for bench in benches:
            bench.close()
    events = list(EventReader(tmp_path / "run" / "events.jsonl").read())
    measured = [one for one in events if one["event"] == "measured"]
    expected = {(trial, device): 1 for trial in range(TRIALS) for device in ("pixel-6", "host")}
    assert Counter((one["trial"], one["device"]) for one in measured) == expected
    assert {one["serial"] for one in measured} == {phones[0].address, phones[1].address, "host"}
    assert all(2.0 <= one["latency_ms"] < 10 for one in measured if one["device"] == "pixel-6")
    news = [(one["event"], one["serial"]) for one in events if one["event"] in ("device_lost", "device_back")]
    assert news == [("device_lost", phones[0].address), ("device_back", phones[0].address)]
    assert sum(one["event"] == "done" for one in events) == TRIALS
    assert [phone.files() for phone in phones] == [[], []]


class Cable:
    """Pulled in the middle of a run of the first phone, in the second batch; in again when that was noticed."""

    def __init__(self, phone: StandInPhone) -> None:
        self.phone = phone
        self.pulled = False

    def watch(self, event: dict[str, Any]) -> None:
        if event["event"] == "asked" and event["step"] == 1:
            self.phone.unplug_during_next_run(after_s=0.0)
        if event["event"] == "device_lost":
            threading.Timer(0.5, self.phone.plug).start()
        if event["event"] == "asked" and event["step"] == 2:
            time.sleep(1.0)  # the last batch begins when both are there
