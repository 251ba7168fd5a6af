"""What a phone can do wrong in the middle of a search: trials lost, repeated, failed, and wrong numbers accepted.

    python benchmarks/devices/faults.py [--trials 200] [--times 20] [--faults cable heat ...]

Two stand-in phones (stand_ins/phone.py) behind the real adb server measure as a pool; training takes no
time. A fault strikes at even intervals over the search, in turn on one phone and the other, and is repaired after a
second where it does not end by itself. What a phone answers follows from the size of the file, so a wrong number shows.
`failed` are trials that the search itself gave up, as it should where a model fails twice.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mnascli import tflite
from mnascli.devices.adb.setup import set_up_phone
from mnascli.devices.finding import find_device
from mnascli.engine.benches.bench import open_benches
from mnascli.engine.evaluator import LocalEvaluator
from mnascli.engine.opening import opened_devices
from mnascli.engine.search_loop import search
from mnascli.runs import EventReader, RunState, create_run
from mnascli.search import Objective, create_searcher
from mnascli.space import Architecture
from stand_ins.evaluators import Instant, small_space
from stand_ins.phone import AdbServer, StandInPhone, binary

MENDED_AFTER_S = 1.0
HANGS_AFTER_S = 900.0  # a search that is not done by then is taken to hang
MS, MS_PER_MB = 2.0, 30.0
PROFILE = """name: pixel-6
match: {kind: adb, model: Pixel 6}
measuring: {warmups: 1, warmup_min_s: 0, runs: 5, min_s: 0, timeout_s: 3, sessions: 2, keep: 2, cooling: {pause_s: 0.2}}
"""


def afterwards(phone: StandInPhone, mend: Callable[[], None]) -> None:
    threading.Timer(MENDED_AFTER_S, mend).start()


def no_space(phone: StandInPhone) -> None:
    phone.set_free(1000)
    afterwards(phone, lambda: phone.set_free(8 << 30))


def heat(phone: StandInPhone) -> None:
    phone.heat(status=3, temperature_c=46.0, slow=2.0)
    afterwards(phone, lambda: phone.heat(status=0, temperature_c=27.5))


def slow(phone: StandInPhone) -> None:
    """Throttled, and saying nothing of it."""
    phone.heat(status=0, temperature_c=27.5, slow=2.0)
    afterwards(phone, lambda: phone.heat(status=0, temperature_c=27.5))


def cores(phone: StandInPhone) -> None:
    phone.set_online(range(4))
    afterwards(phone, lambda: phone.set_online(range(8)))


FAULTS: dict[str, Callable[[StandInPhone], None]] = {
    "cable": lambda phone: phone.unplug_during_next_run(after_s=0.0, back_after_s=MENDED_AFTER_S),
    "no space": no_space,
    "heat": heat,
    "slow": slow,
    "cores": cores,
    **{
        name: lambda phone, name=name: phone.fail(name, times=1)  # type: ignore[misc]
        for name in ("crash", "abort", "hang", "partial_delegation", "ignored_flags", "cannot_link")
    },
}


def try_fault(name: str, trials: int, times: int) -> tuple[str, ...]:
    """The row of one fault, from a search of its own."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        os.environ["MNAS_CONFIG_HOME"], os.environ["MNAS_CACHE_HOME"] = str(folder / "config"), str(folder / "cache")
        (folder / "config" / "devices").mkdir(parents=True)
        (folder / "config" / "devices" / "pixel-6.yaml").write_text(PROFILE)
        with AdbServer(folder / "adb") as server:
            os.environ.update(server.environment)
            phones = [StandInPhone(folder / serial, serial=serial) for serial in ("PHONE1", "PHONE2")]
            try:
                for phone in phones:
                    server.attach(phone)
                    set_up_phone(find_device(phone.address), binary(folder / f"program-{phone.serial}"))
                    phone.scripted(ms=MS, ms_per_mb=MS_PER_MB)
                began = time.monotonic()
                state, struck = run_search(folder / "run", phones, name, trials, times)
                seconds = time.monotonic() - began
                wrong = sum(is_wrong(one.architecture, one.latency_ms, folder) for one in state.done())
                left = sum(len(phone.files()) for phone in phones)
            finally:
                for phone in phones:
                    phone.close()
        events = [one for one in EventReader(folder / "run" / "events.jsonl").read() if one["event"] == "measured"]
        repeated = sum(count - 1 for count in Counter(one["trial"] for one in events).values())
    lost = trials - len(state.done()) - len(state.failed())
    numbers = (struck, trials, lost, repeated, wrong, len(state.failed()), left)
    return (name, *map(str, numbers), f"{seconds:.0f}", "yes" if seconds > HANGS_AFTER_S else "no")


def run_search(path: Path, phones: list[StandInPhone], name: str, trials: int, times: int) -> tuple[RunState, int]:
    """The state after a search that the fault struck so often."""
    struck = 0

    def strike(event: dict[str, Any]) -> None:
        nonlocal struck
        measured = sum(bool(trial.latency_ms) for trial in run.state.trials.values())
        if event["event"] == "measured" and struck < times and measured * times >= (struck + 1) * trials * 0.9:
            FAULTS[name](phones[struck % 2])
            struck += 1

    [bench] = open_benches(["pixel-6"])
    try:
        with create_run(path, "", {}) as run:
            run.listeners.append(strike)
            run.append("devices_opened", devices=opened_devices([bench]))
            targets = {bench.name: 3.0}
            run.append("target_set", target_ms=targets, why="benchmark")
            evaluator = LocalEvaluator([bench], Instant(), {}, 0, run.trial_folder)
            searcher = create_searcher("random", small_space(), seed=1)
            search(run, searcher, evaluator, Objective(target_ms=targets), trials=trials, batch=10, failures=trials)
            return run.state, struck
    finally:
        bench.close()


def is_wrong(architecture: str, latency_ms: dict[str, float], folder: Path) -> bool:
    size_mb = tflite.write(Architecture.parse(architecture), folder / "size.tflite").stat().st_size / 1e6
    expected_ms = MS + MS_PER_MB * size_mb
    return any(abs(ms / expected_ms - 1) > 0.02 for ms in latency_ms.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--faults", nargs="+", choices=list(FAULTS), default=list(FAULTS))
    options = parser.parse_args()
    columns = ("fault", "struck", "trials", "lost", "repeated", "wrong", "failed", "files left", "s", "hung")
    table = Table(*columns)
    for name in options.faults:
        row = try_fault(name, options.trials, options.times)
        print("  ".join(row), file=sys.stderr, flush=True)
        table.add_row(*row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
