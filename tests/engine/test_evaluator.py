"""A search over scripted phones: every trial measured on each kind, whatever comes and goes meanwhile."""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mnascli.devices.discipline import Cooling, Discipline
from mnascli.devices.measuring import Latency
from mnascli.devices.pool import Pool
from mnascli.devices.profiles import Match, Profile
from mnascli.devices.store import LatencyStore
from mnascli.engine.benches.bench import Bench
from mnascli.engine.evaluator import LocalEvaluator
from mnascli.engine.opening import opened_devices
from mnascli.engine.search_loop import search
from mnascli.engine.targets import targets_by_device
from mnascli.errors import NoDeviceError, UsageError
from mnascli.runs import EventReader, Run, create_run, open_run
from mnascli.search import Objective, create_searcher
from stand_ins.evaluators import Instant, small_space
from stand_ins.scripted_device import ScriptedDevice

MEASURING = Discipline(cooling=Cooling(pause_s=0.001, max_pause_s=0.002))
TRIALS, BATCH = 20, 5


def phone(serial: str, factor: float = 1.0) -> ScriptedDevice:
    device = ScriptedDevice(serial=serial)
    device.ms_of = lambda content: factor * len(content) / 1e4
    return device


def bench(name: str, *devices: ScriptedDevice, store: LatencyStore | None = None) -> Bench:
    profile = Profile(name=name, match=Match(kind="adb"), measuring=MEASURING)
    return Bench(Pool(name, profile, devices, poll_s=0.01), store)


def run_search(run: Run, benches: Sequence[Bench], executor: Instant | None = None) -> None:
    if not run.state.targets_ms:
        run.append("devices_opened", devices=opened_devices(benches))
        run.append("target_set", target_ms=targets_by_device({"pixel": 1.0, "pi": 2.0}, benches), why="test")
    evaluator = LocalEvaluator(benches, executor or Instant(), {}, 0, run.trial_folder)
    objective = Objective(target_ms=run.state.targets_ms)
    searcher = create_searcher("random", small_space(), seed=1)
    search(run, searcher, evaluator, objective, trials=TRIALS, batch=BATCH, failures=3)


def check(path: Path) -> list[dict[str, Any]]:
    """Every trial was measured once on each kind of device, and rightly; returns the events."""
    events = list(EventReader(path / "events.jsonl").read())
    measured = Counter((one["trial"], one["device"]) for one in events if one["event"] == "measured")
    assert measured == {(trial, device): 1 for trial in range(TRIALS) for device in ("pixel", "pi")}
    latencies = {(one["trial"], one["device"]): one["latency_ms"] for one in events if one["event"] == "measured"}
    for trial in range(TRIALS):
        assert latencies[trial, "pi"] == pytest.approx(2 * latencies[trial, "pixel"], rel=0.01)
    assert sum(one["event"] == "done" for one in events) == TRIALS
    return events


def test_two_phones_and_a_board_with_a_cable_out_and_in_again(tmp_path: Path) -> None:
    first, second, board = phone("P1"), phone("P2"), phone("B1", factor=2.0)
    first.gone = lambda: len(first.ran) >= 25 and len(second.ran) < 45

    def slowly(time_s: float, session: int) -> float:
        time.sleep(0.01)  # so that the other is looked for meanwhile
        return 1.0

    second.slowdown = slowly
    with create_run(tmp_path / "run", "", {}) as run:
        run_search(run, [bench("pixel", first, second), bench("pi", board)])
        assert run.state.paused == {} and run.state.devices["P1"].state in ("ready", "lost")
        assert all(trial.latency_ms.keys() == {"pixel", "pi"} for trial in run.state.trials.values())
    events = check(tmp_path / "run")
    kinds = [one["event"] for one in events]
    assert "device_lost" in kinds and "device_back" in kinds and "measuring_paused" not in kinds
    assert {one["serial"] for one in events if one["event"] == "measured"} == {"P1", "P2", "B1"}
    assert (tmp_path / "run" / "trials" / "000003" / "latency-pi.json").is_file()


def test_a_search_pauses_without_a_device_and_goes_on(tmp_path: Path) -> None:
    only, board = phone("P1"), phone("B1", factor=2.0)
    back = threading.Event()
    only.gone = lambda: len(only.ran) >= 30 and not back.is_set()
    with create_run(tmp_path / "run", "", {}) as run:
        paused: list[str] = []

        def listen(event: dict[str, Any]) -> None:
            if event["event"] == "measuring_paused":
                paused.append(run.state.paused["pixel"])
                back.set()

        run.listeners.append(listen)
        run_search(run, [bench("pixel", only), bench("pi", board)])
        assert paused == ["no device is left to measure on as pixel: waiting for P1"]
        assert run.state.paused == {}
    check(tmp_path / "run")


def test_with_all_set_aside_the_batch_is_ended_and_a_resumed_run_lacks_nothing(tmp_path: Path) -> None:
    liar, board = phone("P1"), phone("B1", factor=2.0)
    liar.slowdown = lambda time_s, session: 1.07 ** (session % 11) if session > 25 else 1.0
    executor = Instant()
    with create_run(tmp_path / "run", "", {}) as run:
        with pytest.raises(NoDeviceError, match="P1 unstable 3 times in a row"):
            run_search(run, [bench("pixel", liar), bench("pi", board)], executor)
        assert run.state.devices["P1"].state == "set aside"
        stopped_in = run.state.batch
        assert all(one.accuracy is not None and "pi" in one.latency_ms for one in stopped_in)
    before = list(executor.trained)
    with open_run(tmp_path / "run") as run:
        run_search(run, [bench("pixel", phone("P1")), bench("pi", board)], executor)
    assert before == sorted(before) and sorted(executor.trained) == list(range(TRIALS))
    check(tmp_path / "run")


def test_leaving_while_it_is_paused_ends_the_threads(tmp_path: Path) -> None:
    """As Ctrl-C does: an exception in the loop while it waits for a phone."""
    only, board = phone("P1"), phone("B1", factor=2.0)
    only.gone = lambda: True

    def interrupt(event: dict[str, Any]) -> None:
        if event["event"] == "measuring_paused":
            raise KeyboardInterrupt

    with create_run(tmp_path / "run", "", {}) as run:
        run.listeners.append(interrupt)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            run_search(run, [bench("pixel", only), bench("pi", board)])
        assert time.monotonic() - began < 20
    only.gone = lambda: False
    with open_run(tmp_path / "run") as run:
        run_search(run, [bench("pixel", only), bench("pi", board)])
    check(tmp_path / "run")


def test_a_crashing_models_last_words_are_kept(tmp_path: Path) -> None:
    first, board = phone("P1"), phone("B1", factor=2.0)
    first.crashes = {"0": 2}  # the first architecture of the first batch
    with create_run(tmp_path / "run", "", {}) as run:
        run_search(run, [bench("pixel", first), bench("pi", board)])
        (failed,) = run.state.failed()
        assert failed.failure is not None and failed.failure["stage"] == "measure"
        assert "pixel: 0.tflite: the binary crashed" in failed.failure["reason"]
        assert (run.trial_folder(failed.trial) / "measure-pixel.txt").read_text() == "SIGSEGV"


def test_targets_are_by_any_name_of_the_device() -> None:
    pixels, pi = bench("pixel", phone("P1"), phone("P2")), bench("pi", phone("B1"))
    pi.pool.members[0].asked = "board"
    benches = [pixels, pi]
    assert targets_by_device(75, benches) == {"pixel": 75, "pi": 75}
    assert targets_by_device({"board": 120, "P2": 75}, benches) == {"pixel": 75, "pi": 120}
    for wrong in ({"pixel": 75}, {"pixel": 75, "tv": 1}, {"pixel": 75, "P1": 75, "pi": 1}, {"P1": 1, "P2": 1}):
        with pytest.raises(UsageError, match="but the devices are pixel, pi: give one number for all, or one for"):
            targets_by_device(wrong, benches)  # type: ignore[arg-type]


def test_a_trial_says_where_its_latency_is_from(tmp_path: Path) -> None:
    """A second search over the same networks: what was stable is looked up, with the time of its measurement."""
    store = LatencyStore(tmp_path / "store", now=lambda: 1e9)
    events = {}
    for name in ("first", "second"):
        pixel, pi = bench("pixel", phone("P1"), store=store), bench("pi", phone("B1", 2.0), store=store)
        with create_run(tmp_path / name, "", {}) as run:
            run_search(run, [pixel, pi])
            stored = [trial.stored for trial in run.state.trials.values()]
            measured = sum(device.measured for device in run.state.devices.values())
        events[name] = [one for one in check(tmp_path / name) if one["event"] == "measured"]
        assert measured == sum(one["source"] == "device" for one in events[name])
    assert {one["source"] for one in events["first"]} == {"device"}
    assert not any("measured_at" in one for one in events["first"])
    assert {(one["source"], one["measured_at"]) for one in events["second"]} == {("store", 1e9)}
    assert stored == [{"pixel": 1e9, "pi": 1e9}] * TRIALS


def test_an_unstable_latency_of_the_store_is_measured_again(tmp_path: Path) -> None:
    store = LatencyStore(tmp_path, now=lambda: 1e9)
    network = small_space().sample(random.Random(0))
    restless = phone("P1")
    restless.slowdown = lambda time_s, session: 1.07 ** (session % 11)
    results = [bench("pixel", restless, store=store).measure([network])[0]]
    results += [bench("pixel", phone("P1"), store=store).measure([network])[0] for _ in range(2)]
    seen = [(one.verdict, one.stored_s) for one in results if isinstance(one, Latency)]
    assert seen == [("unstable", None), ("stable", None), ("stable", 1e9)]
