"""How long the report of a large run takes to make, and how large it is.

    python benchmarks/speed/report.py [--trials 100 1000 10000]

The run is written as a search writes it: networks sampled from the paper's space, three sessions of raw runs for each.
The aims are 10 s and 10 MB for 10,000 trials. Reading the log stands beside parsing the same lines with json alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from mnascli.report.content import gather
from mnascli.report.page import page, text
from mnascli.space import load_space

TARGET_MS = 75.0


def write_run(path: Path, trials: int, batch: int = 20) -> None:
    """A finished search of that many trials on one device."""
    rng = random.Random(0)
    space = load_space("mnasnet")
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(f"data: imagenet\ntrials: {trials}\n")
    (path / "meta.json").write_text(json.dumps({"command": ["mnas", "search"], "seed": 0, "versions": {}}))
    now = 1.8e9

    with (path / "events.jsonl").open("w") as log:

        def event(name: str, **values: Any) -> None:
            nonlocal now
            now += 1.0
            log.write(json.dumps({"v": 1, "time": now, "event": name, **values}, separators=(",", ":")) + "\n")

        event("run_started")
        event("target_set", target_ms={"pixel": TARGET_MS}, why="given")
        event("phase", phase="search")
        for step, first in enumerate(range(0, trials, batch)):
            asked = [{"trial": n, "architecture": str(space.sample(rng))} for n in range(first, first + batch)]
            event("asked", step=step, searcher="searcher/step.pt", trials=asked[: trials - first])
            for one in asked[: trials - first]:
                trial = one["trial"]
                event("started", trial=trial, worker=0)
                if rng.random() < 0.01:
                    event("failed", trial=trial, stage="train", kind="MemoryError", reason="out of memory")
                    continue
                ms = rng.lognormvariate(4.3, 0.4)
                write_samples(path / "trials" / f"{trial:06d}", ms, rng)
                times = {"latency_ms": ms, "p5_ms": 0.98 * ms, "p95_ms": 1.07 * ms, "reference_ms": rng.gauss(9, 0.1)}
                event("measured", trial=trial, device="pixel", verdict="stable", **times)
                accuracy = 0.6 + 0.02 * (ms / TARGET_MS) + rng.gauss(0, 0.02) + 0.05 * trial / trials
                history = [accuracy * part / 5 for part in range(1, 6)]
                event("trained", trial=trial, accuracy=accuracy, history=history, seconds=900.0)
                event("done", trial=trial, reward=accuracy * (ms / TARGET_MS) ** -0.07)
        event("run_finished")


def write_samples(folder: Path, ms: float, rng: random.Random) -> None:
    folder.mkdir(parents=True)
    sessions = [{"samples_ms": [round(rng.gauss(ms, ms / 50), 4) for _ in range(50)]} for _ in range(3)]
    (folder / "latency-pixel.json").write_text(json.dumps({"sessions": sessions, "fingerprint": "pixel/soc"}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 10_000])
    arguments = parser.parse_args()
    print("| trials | log MB | parse the log with json alone (s) | gather (s) | page (s) | text (s) | page MB |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for trials in arguments.trials:
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            write_run(run, trials)
            log = run / "events.jsonl"
            times = [time.perf_counter()]
            with log.open("rb") as lines:
                for line in lines:
                    json.loads(line)
            times.append(time.perf_counter())
            content = gather(run)
            times.append(time.perf_counter())
            html = page(content)
            times.append(time.perf_counter())
            text(content)
            times.append(time.perf_counter())
            parsed, gathered, paged, texted = (after - before for before, after in itertools.pairwise(times))
            sizes = log.stat().st_size / 1e6, len(html.encode()) / 1e6
            print(
                f"| {trials:,} | {sizes[0]:.1f} | {parsed:.2f} | {gathered:.2f} | {paged:.2f} | {texted:.2f} "
                f"| {sizes[1]:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
