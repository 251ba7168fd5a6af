"""A run directory made by hand, the same every time: two phones behind one name and the host, failures, the end."""

import json
import math
from pathlib import Path
from typing import Any

from mnascli.runs import Event

BEGAN = 1_790_000_000.0
ARCHITECTURE = "stem_c8,ir_r1_k3_s2_e3_c8_se0.25,ds_r2_k5_s1_c{filters},cn_r1_k3_s1_c16,head_c32_d0.1,net_i28_ch1_o10"
CONFIG = """
trials: 40
batch: 4
final: {finalists: 2, seeds: 1, compare: [mobilenet-v2]}
"""
FINISH = ("phase", "long_trained", "compared", "exported", "run_finished")


class Clock:
    """Writes events, `seconds` apart."""

    def __init__(self, seconds: float = 5.0) -> None:
        self.now = BEGAN
        self.seconds = seconds
        self.events: list[Event] = []

    def add(self, name: str, **values: Any) -> None:
        self.now += self.seconds
        self.events.append({"v": 1, "time": self.now, "event": name, **values})


def events(trials: int = 24, finished: bool = True) -> list[Event]:
    clock = Clock()
    clock.add("run_started")
    phone = {"device": "pixel-6", "profile": "pixel-6", "asked": "pixel-6"}
    phones = [{**phone, "name": f"pixel-6-{n}", "serial": f"S{n}"} for n in (1, 2)]
    host = {"device": "host", "profile": "host", "asked": "host", "name": "host", "serial": "machine"}
    clock.add("devices_opened", devices=[*phones, host])
    clock.add("phase", phase="target")
    latency_ms = {"pixel-6": 20.0, "host": 0.5}
    clock.add("reference_measured", model="mobilenet-v2 x0.25", architecture="-", latency_ms=latency_ms)
    clock.add("target_set", target_ms=latency_ms, why="the latency of mobilenet-v2 x0.25")
    clock.add("phase", phase="search")
    for first in range(0, trials, 4):
        numbers = range(first, min(first + 4, trials))
        asked = [{"trial": n, "architecture": ARCHITECTURE.format(filters=8 + n)} for n in numbers]
        clock.add("asked", step=first // 4, searcher="searcher/step.pt", trials=asked)
        p = 1 / (1 + math.exp(-first / 8))
        decisions = {
            "block1.kernel": {"3": p, "5": 1 - p},
            "block1.operator": {"conv": 0.2, "sep": 0.3, "mbconv3": 0.5},
        }
        clock.add("learned", step=first // 4, probabilities=decisions)
        for n in numbers:
            trial_events(clock, n)
    if finished:
        finish(clock)
    return clock.events


def trial_events(clock: Clock, n: int) -> None:
    clock.add("started", trial=n, worker=n % 2)
    if n % 9 == 4:
        clock.add("failed", trial=n, stage="train", kind="ValueError", reason="the loss is not a number")
        return
    for device, slow in (("pixel-6", 30.0), ("host", 0.8)):
        ms = slow * (0.4 + 0.6 * abs(math.sin(n)))
        verdict = "unstable" if n % 6 == 1 else "stable"
        serial = "machine" if device == "host" else f"S{n % 2 + 1}"
        values = {"latency_ms": ms, "p5_ms": ms * 0.9, "p95_ms": ms * 1.2, "verdict": verdict, "serial": serial}
        values["reference_ms"] = 5.0 if n == 0 else 5.065
        clock.add("measured", trial=n, device=device, **values)
    history = [0.3 + 0.2 * abs(math.cos(n)) + 0.01 * epoch for epoch in range(5)]
    clock.add("trained", trial=n, accuracy=history[-1], history=history, seconds=9.5)
    clock.add("done", trial=n, reward=history[-1] * 0.9)


def finish(clock: Clock) -> None:
    clock.add("phase", phase="finalists")
    scores = {
        "validation": 0.61,
        "test": 0.6,
        "test_top5": 0.9,
        "seconds": 60.0,
        "architecture": "-",
        "checkpoint": "-",
    }
    clock.add("long_trained", model="trial-0", trial=0, seed=0, **scores)
    clock.add("phase", phase="compare")
    size = {"parameters": 1000, "multiply_adds": 2000, "architecture": "-"}
    ms = {"pixel-6": 14.0, "host": 0.4}
    clock.add("compared", model="mobilenet-v2 x0.3", trial=None, latency_ms=ms, **size)
    clock.add("long_trained", model="mobilenet-v2 x0.3", trial=None, seed=0, **{**scores, "test": 0.48})
    clock.add("phase", phase="export")
    values = {"size_mb": 0.2, "max_abs_difference": 1e-5, "latency_ms": ms}
    clock.add("exported", file="export/made.tflite", trial=0, **values)
    clock.add("run_finished")


def make_run(path: Path, trials: int = 24, finished: bool = True) -> Path:
    """Write the run, with what its devices and children left."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(CONFIG)
    (path / "events.jsonl").write_text(lines(events(trials, finished)))
    for n in range(trials):
        folder = path / "trials" / f"{n:06d}"
        folder.mkdir(parents=True)
        (folder / "latency-pixel-6.json").write_text(json.dumps(latency(n)))
        (folder / "stderr.txt").write_text("Traceback: the loss is not a number\n" if n % 9 == 4 else "")
    return path


def lines(of: list[Event]) -> str:
    return "".join(json.dumps(event) + "\n" for event in of)


def latency(n: int) -> dict[str, Any]:
    conditions = {"cores": [7], "frequency_mhz": 2800.0, "temperature_c": 31.0 + n, "thermal_status": 0, "load": 0.5}
    session = {"before": conditions, "after": {**conditions, "temperature_c": 33.0 + n}}
    samples = [10.0 + n + 0.1 * (run % 7) for run in range(60)]
    sessions = [{**session, "samples_ms": samples, "median_ms": 10.3 + n, "runs": 60} for _ in range(3)]
    return {
        "median_ms": 10.3 + n,
        "p5_ms": 10.0 + n,
        "p95_ms": 10.6 + n,
        "verdict": "stable",
        "problem": "the reference model was 9.0% slower than before" if n % 6 == 1 else "",
        "reference_ms": 5.0,
        "reference_drift": 0.013,
        "sessions": sessions,
        "set_aside": sessions[:1],
    }
