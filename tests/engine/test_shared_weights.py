"""A search on a supernet from pictures to winner: real trainings, made-up latencies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnascli.devices.measuring import Latency
from mnascli.engine import phases
from mnascli.engine.benches import fitting
from mnascli.engine.benches.bench import Bench
from mnascli.engine.config import resolve
from mnascli.engine.estimate import estimate
from mnascli.engine.opening import Search, resume
from mnascli.engine.opening import begin as begin_job
from mnascli.engine.predicting import PREDICTED
from mnascli.errors import UsageError
from mnascli.runs import EventReader, Run, overview
from mnascli.search.latency_model import LatencyModel, fit, terms
from mnascli.space import Architecture, Space

RECIPE = {"epochs": 2, "batch_size": 16, "learning_rate": 0.4, "warmup_epochs": 0.0}
BLOCK = {"filters": 6, "layers": 1, "stride": 2}
CHOICES = {"operator": ["sep", "mbconv2"], "kernel": [3, 5], "se": [0], "skip": ["identity"], "layers": [0, 1]}
CONFIG: dict[str, Any] = {
    "evaluator": "supernet",
    "rungs": (),
    "objective": {"alpha": -0.07, "beta": -0.07, "band": 0},
    "supernet": {"recipe": RECIPE, "sampling": "reward", "warmup": 0.5, "measured": 3},
    "target_ms": 0.05,
    "trials": 6,
    "batch": 3,
    "workers": 1,
    "final": {"finalists": 1, "seeds": 1, "compare": [], "export": False, "recipe": RECIPE},
    "space": {
        "input": {"size": 12, "channels": 1},
        "stem": {"filters": 4},
        "head": {"filters": 8},
        "choices": CHOICES,
        "blocks": [BLOCK],
    },
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright bars at one of two places."""
    folder, rng = tmp_path_factory.mktemp("bars"), np.random.default_rng(0)
    for label in range(2):
        (folder / f"class{label}").mkdir()
        for number in range(80):
            pixels = rng.integers(0, 120, (12, 12)).astype(np.uint8)
            pixels[6 * label : 6 * label + 3] += 120
            Image.fromarray(pixels).save(folder / f"class{label}" / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def made_up_latencies(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """No device is measured: times are made up, so that the machine's load decides nothing; the models are real."""
    made: list[str] = []

    def fit_on(bench: Bench, space: Space, candidates: int) -> LatencyModel:
        made.append(bench.name)
        networks = [space.decode([n // 4 % 2, n // 2 % 2, 0, 0, n % 3, n // 8 % 2]) for n in range(24)]
        return fit(space, fitting.identify(bench), networks, [made_up_ms(one) for one in networks])

    def measure(self: Bench, architectures: Sequence[Architecture]) -> list[Latency]:
        """What is measured for real comes out a little slower than predicted."""
        times = [1.1 * made_up_ms(architecture) for architecture in architectures]
        setup = self.device.setup
        return [Latency("", "host", "", setup, ms, ms, ms, 10, "stable", "", None, 0.0, ()) for ms in times]

    monkeypatch.setattr(fitting, "fit_on", fit_on)
    monkeypatch.setattr(Bench, "measure", measure)
    yield made


def made_up_ms(architecture: Architecture) -> float:
    return 0.02 + sum(value for name, value in terms(architecture).items() if name.endswith("adds")) / 1e6


def begin(path: Path, pictures: Path, **changes: Any) -> Search:
    settings = {**CONFIG["supernet"], **changes.pop("supernet", {})}
    values = {**CONFIG, "data": str(pictures), "channels": 1, "supernet": settings, **changes}
    return begin_job(resolve("quick", None, values), path)


def run_to_end(opened: Search) -> list[dict[str, Any]]:
    try:
        phases.run_all(opened)
    finally:
        opened.close()
    return list(EventReader(opened.run.path / "events.jsonl").read())


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


def test_a_search_on_shared_weights(
    tmp_path: Path, pictures: Path, made_up_latencies: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The supernet's training is cut off after its first epoch, and gone on with.
    append = Run.append

    def interrupted(self: Run, event: str, **values: Any) -> None:
        append(self, event, **values)
        if event == "supernet_epoch":
            raise KeyboardInterrupt

    monkeypatch.setattr(Run, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_to_end(begin(tmp_path / "first", pictures))
    monkeypatch.setattr(Run, "append", append)
    opened = resume(tmp_path / "first")
    events = run_to_end(opened)

    state = opened.run.state
    assert [event["phase"] for event in events if event["event"] == "phase"] == [
        "target", "supernet", "search", "finalists", "compare",
    ]  # fmt: skip
    assert made_up_latencies == ["host"]
    assert state.is_finished and len(state.done()) == 6
    assert all(0 <= (trial.accuracy or -1) <= 1 for trial in state.trials.values())
    # The best were measured for real in the end, and the winner is one of them.
    verdicts = [trial.verdict["host"] for trial in state.trials.values()]
    assert all(trial.verdict["host"] != PREDICTED for trial in state.ranking()[:3])
    remeasured = [trial for trial in state.trials.values() if trial.verdict["host"] != PREDICTED]
    for trial in remeasured:
        architecture = Architecture.parse(trial.architecture)
        assert trial.latency_ms["host"] == pytest.approx(1.1 * made_up_ms(architecture))
    (winner,) = [entry for entry in state.compared.values() if entry["trial"] is not None]
    assert state.trials[winner["trial"]].verdict["host"] != PREDICTED
    assert kinds(events).count("remeasured") == sum(verdict != PREDICTED for verdict in verdicts)
    view = overview(events)
    assert view.done == 6 and view.best_by_proxy == state.best()
    assert sorted(point.trial for point in view.points["host"]) == sorted(state.trials)

    # More trials for the finished run: the best of all of them are measured, and can win.
    opened = resume(tmp_path / "first", 16)
    events = run_to_end(opened)
    ranking = opened.run.state.ranking()
    assert len(opened.run.state.trials) == 16 and any(trial.trial >= 6 for trial in ranking[:3])
    assert all(trial.verdict["host"] != PREDICTED for trial in ranking[:3])
    assert kinds(events).count("remeasured") > kinds(events[: kinds(events).index("run_finished")]).count("remeasured")

    # Another target: the supernet is used again, nothing is trained but the finalist, which inherits.
    weights = tmp_path / "first" / "supernet" / "supernet.safetensors"
    second = begin(
        tmp_path / "second", pictures, target_ms=0.03, supernet={"weights": weights, "inherit": True}, trials=3
    )
    events = run_to_end(second)
    assert "supernet_epoch" not in kinds(events) and second.run.state.is_finished

    with pytest.raises(UsageError, match="a supernet of another space"):
        begin(tmp_path / "third", pictures, supernet={"weights": weights}, space={"stem": {"filters": 8}})
    assert not (tmp_path / "third").exists()
    model = tmp_path / "first" / "latency-model-host.json"
    with pytest.raises(UsageError, match="a latency model of another space"):
        begin(
            tmp_path / "third", pictures, supernet={"latency_models": {"host": model}}, space={"stem": {"filters": 8}}
        )


def test_an_estimate_counts_one_training_for_all(pictures: Path) -> None:
    values = {**CONFIG, "data": str(pictures), "channels": 1}
    supernet = {**CONFIG["supernet"], "recipe": {**RECIPE, "epochs": 100_000}}
    long = estimate(resolve("quick", None, {**values, "supernet": supernet}))
    assert "seconds to judge a candidate" in long and "seconds to train a candidate" not in long
    # Of a training that is so long, nothing else counts.
    assert long["search_minutes"] == pytest.approx(long["seconds to train the supernet"] / 60, rel=0.2)
