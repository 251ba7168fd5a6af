"""Runs written event by event, as a search writes them, without training or measuring anything."""

import json
import random
from pathlib import Path
from typing import Any

from mnascli.runs import Run, create_run, write_atomically
from mnascli.space import load_space

NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)>"
META = {
    "command": ["/somewhere/bin/mnas", "search", "--data", "my pictures"],
    "seed": 7,
    "space_hash": "ab12",
    "data_hash": "cd34",
    "python": "3.11.7",
    "platform": "Linux",
    "versions": {"mnas": "0.1.0", "torch": "2.13.0"},
}
SEED = 1  # with it trial 0 is the most accurate, which the search trains with the seed of the run
CONFIG = "data: fashion-mnist-10k\ntrials: 12\nfinal: {tolerance: 0.1}\n"


def make_run(path: Path, trials: int = 12, devices: tuple[str, ...] = ("host",), finish: bool = True) -> Path:
    """A whole run: every tenth trial from the second on fails, three go to full training, one wins."""
    rng, networks = random.Random(SEED), random.Random(0)
    space = load_space("quick")
    with create_run(path, CONFIG, META) as run:
        run.append("phase", phase="target")
        run.append("target_set", target_ms=dict.fromkeys(devices, 5.0), why="given")
        run.append("phase", phase="search")
        for first in range(0, trials, 6):
            batch = [
                {"trial": n, "architecture": str(space.sample(networks))} for n in range(first, min(first + 6, trials))
            ]
            run.append("asked", step=first // 6, searcher=f"searcher/step-{first // 6:06d}.pt", trials=batch)
            for one in batch:
                add_trial(run, one["trial"], devices, rng)
        if finish:
            add_end(run, devices)
    return path


def add_trial(run: Run, trial: int, devices: tuple[str, ...], rng: random.Random) -> None:
    """Everything that is logged of a trial once it is asked for."""
    run.append("started", trial=trial, worker=0)
    if trial % 10 == 1:
        run.append("failed", trial=trial, stage="train", kind="MemoryError", reason=f"out of memory {NASTY}")
        return
    for device in devices:
        ms = rng.uniform(2, 9)
        samples = [ms * rng.uniform(0.98, 1.1) for _ in range(50)]
        values = {"sessions": [{"samples_ms": samples}], "fingerprint": f"{device}/soc"}
        write_atomically(run.trial_folder(trial) / f"latency-{device}.json", json.dumps(values).encode())
        verdict = "unstable" if trial % 5 == 0 else "stable"
        times = {"latency_ms": ms, "p5_ms": ms * 0.98, "p95_ms": ms * 1.1, "reference_ms": 0.5 + trial / 100}
        run.append("measured", trial=trial, device=device, verdict=verdict, **times)
    accuracy = rng.uniform(0.6, 0.8)
    run.append("trained", trial=trial, accuracy=accuracy, history=[accuracy / 2, accuracy], seconds=1.0)
    run.append("done", trial=trial, reward=accuracy)


def add_end(run: Run, devices: tuple[str, ...]) -> None:
    """Finalists, comparison and export of a run that has trials."""
    finalists = run.state.ranking()[:3]
    run.append("phase", phase="finalists")
    for place, trial in enumerate(finalists):
        _long(run, f"trial-{trial.trial}", trial.architecture, trial.trial, 0, 0.85 - place / 100)
    run.append("phase", phase="compare")
    best = finalists[0]
    entries: list[tuple[str, str, int | None, float]] = [
        (f"trial-{best.trial}", best.architecture, best.trial, 0.85),
        ("mobilenet-v2 x0.5", best.architecture, None, 0.82),
    ]
    for name, architecture, number, accuracy in entries:
        latency_ms = dict.fromkeys(devices, 4.2)
        cost: dict[str, Any] = {"parameters": 123_456, "multiply_adds": 7_890_123}
        run.append("compared", model=name, architecture=architecture, trial=number, latency_ms=latency_ms, **cost)
        for seed in (0, 1, 2):
            _long(run, name, architecture, number, seed, accuracy + seed / 1000)
    parity = {"max_abs_difference": 1e-5, "differing_predictions": 0, "parity_images": 200}
    latency_ms = dict.fromkeys(devices, 4.1)
    run.append("exported", file="export/x.tflite", trial=best.trial, size_mb=0.5, latency_ms=latency_ms, **parity)
    run.append("run_finished")


def _long(run: Run, name: str, architecture: str, trial: int | None, seed: int, accuracy: float) -> None:
    if (name, seed) in run.state.long_runs:
        return
    values = {"architecture": architecture, "trial": trial, "checkpoint": "trained/x", "seconds": 1.0}
    accuracies = {"validation": accuracy, "selection": accuracy + 0.02, "test": accuracy - 0.01}
    run.append("long_trained", model=name, seed=seed, test_images=1500, **accuracies, **values)
