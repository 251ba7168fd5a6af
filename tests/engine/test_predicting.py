"""Only networks that are predicted to use the target are tried, where a configuration asks for a band."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnascli.engine.config import resolve
from mnascli.engine.predicting import near_target
from mnascli.engine.search_loop import PROPOSALS, search
from mnascli.runs import Run, create_run, open_run, read_state
from mnascli.search import Objective, create_searcher
from mnascli.space import Architecture, Space, load_space
from stand_ins.evaluators import evaluate
from stand_ins.scripted_bench import ScriptedBench, true_ms

TARGET_MS, BAND = 1.6, 0.8
SPACE = load_space("quick")


def begun(path: Path) -> Run:
    run = create_run(path, "", {})
    run.append("target_set", target_ms={"phone": TARGET_MS}, why="test")
    return run


def wanted(run: Run, bench: ScriptedBench, band: float = BAND) -> Callable[[Architecture], bool] | None:
    config = resolve("quick", None, {"objective": {"band": band, "candidates": 60}})
    benches: Any = [bench]
    return near_target(run, config, SPACE, benches)


def test_what_is_wanted_uses_the_target(tmp_path: Path) -> None:
    with begun(tmp_path / "run") as run:
        is_wanted = wanted(run, ScriptedBench())
    assert is_wanted is not None
    rng = random.Random(1)
    sampled = [SPACE.sample(rng) for _ in range(3000)]
    taken = [true_ms(one) / TARGET_MS for one in sampled if is_wanted(one)]
    assert len(taken) > 20 and all(BAND - 0.05 < share < 1.05 for share in taken)
    missed = [one for one in sampled if BAND + 0.05 < true_ms(one) / TARGET_MS < 0.95 and not is_wanted(one)]
    assert len(missed) < len(taken) / 10


def test_a_target_that_no_network_is_near_is_said(tmp_path: Path) -> None:
    with create_run(tmp_path / "run", "", {}) as run:
        run.append("target_set", target_ms={"phone": 0.5}, why="test")
        assert wanted(run, ScriptedBench()) is not None
        (warning,) = run.state.warnings
    assert "none of 2000 random networks is predicted to take from 80% of the target" in warning


def test_without_a_band_nothing_is_measured(tmp_path: Path) -> None:
    bench = ScriptedBench()
    with begun(tmp_path / "run") as run:
        assert wanted(run, bench, 0) is None
    assert not bench.seen


def test_a_resumed_run_measures_no_candidates_again(tmp_path: Path) -> None:
    bench = ScriptedBench()
    with begun(tmp_path / "run") as run:
        first = wanted(run, bench)
    measured = len(bench.seen)
    with open_run(tmp_path / "run") as run:
        again = wanted(run, bench)
    assert first is not None and again is not None and len(bench.seen) == measured == 60
    rng = random.Random(2)
    assert all(first(one) == again(one) for one in (SPACE.sample(rng) for _ in range(300)))
    assert read_state(tmp_path / "run").modelled == {"phone"}


def test_a_device_that_cannot_be_modelled_is_said_and_all_are_tried(tmp_path: Path) -> None:
    with begun(tmp_path / "run") as run:
        assert wanted(run, ScriptedBench(unstable_every=1)) is None
        assert wanted(run, ScriptedBench(unstable_every=1)) is None
        (warning,) = run.state.warnings
    assert warning.startswith("candidates of any latency are tried: only 0 of")


def test_predictions_are_corrected_by_what_was_measured(tmp_path: Path) -> None:
    """The search moves on, and there the device is slower than the model thinks: a seventh slower."""
    with begun(tmp_path / "run") as run:
        is_wanted = wanted(run, ScriptedBench())
        rng = random.Random(3)
        nets = [SPACE.sample(rng) for _ in range(8)]
        asked = [{"trial": number, "architecture": str(net)} for number, net in enumerate(nets)]
        run.append("asked", step=0, searcher="s", trials=asked)
        for number, net in enumerate(nets):
            values = {"latency_ms": 1.15 * true_ms(net), "p5_ms": 1.0, "p95_ms": 9.0, "verdict": "stable"}
            run.append("measured", trial=number, device="phone", **values)
        assert is_wanted is not None
        sampled = [SPACE.sample(rng) for _ in range(3000)]
        taken = [1.15 * true_ms(one) / TARGET_MS for one in sampled if is_wanted(one)]
    assert len(taken) > 3 and all(BAND - 0.06 < share < 1.06 for share in taken)


def test_a_run_resumed_in_the_middle_of_a_batch_wants_what_it_would_have(tmp_path: Path) -> None:
    """What was known of the batch when it resumed does not count once the rest is measured."""
    nets = [SPACE.sample(random.Random(n)) for n in range(12)]

    def measure(run: Run, numbers: range) -> None:
        for number in numbers:
            values = {"latency_ms": (1 + number / 40) * true_ms(nets[number]), "p5_ms": 1.0, "p95_ms": 9.0}
            run.append("measured", trial=number, device="phone", verdict="stable", **values)
            run.append("hopeless", trial=number)

    asked = [{"trial": number, "architecture": str(net)} for number, net in enumerate(nets)]
    wants = []
    for name, known in (("whole", 0), ("resumed", 7)):
        with begun(tmp_path / name) as run:
            if not known:
                is_wanted = wanted(run, ScriptedBench())
            run.append("asked", step=0, searcher="s", trials=asked)
            measure(run, range(known))
            if known:
                is_wanted = wanted(run, ScriptedBench())
            assert is_wanted is not None
            is_wanted(nets[0])
            measure(run, range(known, 12))
            rng = random.Random(5)
            wants.append([is_wanted(SPACE.sample(rng)) for _ in range(400)])
    assert wants[0] == wants[1] and any(wants[0])


@pytest.mark.parametrize("name", ["evolution", "random", "ppo"])
def test_a_search_tries_only_what_is_wanted(tmp_path: Path, name: str) -> None:
    space: Space = SPACE

    def is_wanted(architecture: Architecture) -> bool:
        return true_ms(architecture) <= TARGET_MS

    with begun(tmp_path / "run") as run:
        searcher = create_searcher(name, space, 0)
        objective = Objective(target_ms={"phone": TARGET_MS})
        search(run, searcher, evaluate_on_phone, objective, trials=12, batch=4, failures=99, is_wanted=is_wanted)
        tried = [Architecture.parse(trial.architecture) for trial in run.state.trials.values()]
    assert len(tried) == 12 and all(map(is_wanted, tried))


def test_where_nothing_is_wanted_something_is_tried(tmp_path: Path) -> None:
    asked: list[Architecture] = []

    def is_wanted(architecture: Architecture) -> bool:
        asked.append(architecture)
        return False

    with begun(tmp_path / "run") as run:
        searcher, objective = create_searcher("random", SPACE, 0), Objective(target_ms={"phone": TARGET_MS})
        search(run, searcher, evaluate_on_phone, objective, trials=1, batch=1, failures=99, is_wanted=is_wanted)
        assert len(run.state.trials) == 1 and len(asked) == PROPOSALS


def evaluate_on_phone(work: Any) -> Any:
    for outcome in evaluate(work):
        if outcome.event == "measured":
            outcome.values["device"] = "phone"
        yield outcome
