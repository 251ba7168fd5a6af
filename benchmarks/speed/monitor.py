"""What `mnas monitor` costs: opening a long run, and following one at 100 events a second.

    python benchmarks/speed/monitor.py                      100,000 trials
    python benchmarks/speed/monitor.py --trials 10000 --events-per-second 50

The run is made up, its events are those of a real one. The monitor is the real application in a headless terminal of
80x24, opened on a log on the disk. 'First screen': from creating the application to the first screen with figures of
the run on it, the log being read on behind it. 'Whole log': until all of it is shown. Following: share of one core that
the process takes while the log grows, and how often its head and progress were brought up to date. Times are wall and
processor seconds of this process; beside them stands what the same log takes to parse with `json.loads`, line by line,
and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from mnascli.space import load_space
from mnascli.tui.app import MonitorApp
from mnascli.tui.progress_panel import ProgressPanel
from mnascli.tui.run_screen import RunScreen
from mnascli.tui.source import RunSource

BATCH = 10
FOLLOW_S = 15.0


def trial_events(rng: random.Random, numbers: range, architectures: list[str]) -> Iterator[dict[str, Any]]:
    step = numbers.start // BATCH
    asked = [{"trial": number, "architecture": rng.choice(architectures)} for number in numbers]
    yield {"event": "asked", "step": step, "searcher": f"searcher/step-{step:06d}.pt", "trials": asked}
    for number in numbers:
        yield {"event": "started", "trial": number, "worker": number % 4}
        ms = rng.lognormvariate(2.0, 0.4)
        values = {"latency_ms": ms, "p5_ms": 0.95 * ms, "p95_ms": 1.1 * ms, "verdict": "stable", "serial": "S1"}
        yield {"event": "measured", "trial": number, "device": "phone", **values}
        if rng.random() < 0.02:
            yield {"event": "failed", "trial": number, "stage": "train", "kind": "nan", "reason": "not a number"}
            continue
        accuracy = min(0.95, 0.4 + 0.2 * rng.random() + 0.1 * ms**0.5 * rng.random())
        history = [accuracy * share for share in (0.6, 0.8, 1.0)]
        yield {"event": "trained", "trial": number, "accuracy": accuracy, "history": history, "seconds": 12.345}
        yield {"event": "done", "trial": number, "reward": accuracy * (ms / 8.0) ** -0.07}


def write(file: IO[str], events: Iterator[dict[str, Any]], now: float) -> None:
    for event in events:
        file.write(json.dumps({"v": 1, "time": now, **event}, separators=(",", ":")) + "\n")


def make_run(path: Path, trials: int, architectures: list[str]) -> None:
    rng, now = random.Random(0), time.time() - trials
    path.mkdir(parents=True)
    final = "{finalists: 2, seeds: 1, compare: []}"
    (path / "config.yaml").write_text(f"trials: {2 * trials}\nbatch: {BATCH}\nfinal: {final}\n")
    head = [
        {"event": "run_started"},
        {"event": "target_set", "target_ms": {"phone": 8.0}, "why": "given"},
        {"event": "phase", "phase": "search"},
    ]
    with (path / "events.jsonl").open("w") as file:
        write(file, iter(head), now)
        for first in range(0, trials, BATCH):
            write(file, trial_events(rng, range(first, first + BATCH), architectures), now + first)


class Watched:
    """Counts how often a panel was drawn."""

    def __init__(self) -> None:
        self.draws = 0
        plain = ProgressPanel.draw

        def draw(panel: ProgressPanel, source: RunSource) -> None:
            self.draws += 1
            plain(panel, source)

        ProgressPanel.draw = draw  # type: ignore[method-assign]


async def measure(path: Path, trials: int, events_per_second: int, architectures: list[str]) -> dict[str, float]:
    watched, began, cpu = Watched(), time.perf_counter(), time.process_time()
    app = MonitorApp(path, path.parent)
    result = {}
    async with app.run_test(size=(80, 24)) as pilot:
        while not watched.draws:
            await asyncio.sleep(0.01)
        result["first screen s"] = time.perf_counter() - began
        result["first screen processor s"] = time.process_time() - cpu
        screen = app.screen
        assert isinstance(screen, RunScreen)
        while screen.source.is_reading or screen.source.overview.finished < trials:
            await asyncio.sleep(0.01)
        await pilot.pause()
        result["whole log s"] = time.perf_counter() - began
        result["whole log processor s"] = time.process_time() - cpu
        await asyncio.sleep(2)  # the plots are drawn
        rng, number, credit = random.Random(1), trials, 0.0
        watched.draws, began, cpu, wrote = 0, time.perf_counter(), time.process_time(), 0.0
        written, waiting = 0, iter(())
        with (path / "events.jsonl").open("a") as file:
            while (passed := time.perf_counter() - began) < FOLLOW_S:
                credit += (passed - wrote) * events_per_second
                wrote = passed
                while credit >= 1:
                    event = next(waiting, None)
                    if event is None:
                        waiting = trial_events(rng, range(number, number + BATCH), architectures)
                        number += BATCH
                        continue
                    write(file, iter([event]), time.time())
                    credit, written = credit - 1, written + 1
                file.flush()
                await asyncio.sleep(0.02)
        passed = time.perf_counter() - began
        result["events/s"] = written / passed
        result["screen updates/s"] = watched.draws / passed
        result["share of a core"] = (time.process_time() - cpu) / passed
    return result


def parse_s(path: Path) -> float:
    began = time.process_time()
    with (path / "events.jsonl").open("rb") as file:
        for line in file:
            json.loads(line)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--events-per-second", type=int, default=100)
    arguments = parser.parse_args()
    space, rng = load_space("quick"), random.Random(2)
    architectures = [str(space.sample(rng)) for _ in range(500)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs" / "long"
        make_run(path, arguments.trials, architectures)
        size_mb = (path / "events.jsonl").stat().st_size / 1e6
        plain_s = parse_s(path)
        result = asyncio.run(measure(path, arguments.trials, arguments.events_per_second, architectures))
    print(f"{arguments.trials:,} trials, a log of {size_mb:.0f} MB\n")
    print("| what | measured | aim |\n|---|---|---|")
    first_s, first_cpu_s = result["first screen s"], result["first screen processor s"]
    print(f"| first screen | {first_s:.2f} s ({first_cpu_s:.2f} s of processor) | under 1 s |")
    cpu_s = result["whole log processor s"]
    print(f"| the whole log shown | {result['whole log s']:.1f} s ({cpu_s:.1f} s of processor) | - |")
    print(f"| that, over json.loads of every line ({plain_s:.1f} s) | {cpu_s / plain_s:.2f} times | - |")
    print(f"| screen updates at {result['events/s']:.0f} events/s | {result['screen updates/s']:.1f}/s | 10/s |")
    print(f"| of a core meanwhile | {result['share of a core']:.0%} | below 25% |")


if __name__ == "__main__":
    main()
