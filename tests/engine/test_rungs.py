"""Who is promoted, what the searcher is told, and what a failure on a rung costs."""

from pathlib import Path
from typing import Any

import pytest
from test_cli import answer, mnas

from mnascli.engine.config import dump, resolve
from mnascli.engine.rungs import Rungs, promoted, ranked, recipe_of
from mnascli.engine.sections import RungConfig
from mnascli.errors import UsageError
from mnascli.runs import EventReader, Run, RunState, create_run, fold, overview, read_state
from mnascli.search import Objective
from mnascli.training.recipe import Recipe
from mnascli.tui.log_panel import line
from stand_ins.evaluators import Longer

LOSS, ACCURACY = RungConfig(epochs=3, share=0.3, by="loss"), RungConfig(epochs=9, share=0.1)


def batch(trials: list[tuple[float, float, float]], net: str = "net") -> list[dict[str, Any]]:
    """The events of a batch of done trials, each of (accuracy, loss, milliseconds); the target is 10 ms."""
    asked = [{"trial": number, "architecture": net} for number in range(len(trials))]
    events: list[dict[str, Any]] = [{"event": "asked", "step": 0, "searcher": "s", "trials": asked}]
    for number, (accuracy, loss, milliseconds) in enumerate(trials):
        measured = {"trial": number, "device": "host", "latency_ms": milliseconds, "verdict": "stable"}
        measured |= {"p5_ms": milliseconds, "p95_ms": milliseconds}
        trained = {"trial": number, "accuracy": accuracy, "loss": loss, "history": [accuracy]}
        events += [{"event": "measured", **measured}, {"event": "trained", **trained}]
        events.append({"event": "done", "trial": number, "reward": accuracy})
    return events


def state_of(events: list[dict[str, Any]]) -> RunState:
    head = [{"event": "target_set", "target_ms": {"host": 10.0}}]
    return fold({"time": 1.0, **event} for event in [*head, *events])


def logged(run: Run, events: list[dict[str, Any]]) -> None:
    run.append("target_set", target_ms={"host": 10.0}, why="test")
    for event in events:
        values = {key: value for key, value in event.items() if key != "event"}
        run.append(event["event"], **values)


def rungs(run: Run, *configs: RungConfig) -> Rungs:
    return Rungs(configs, Recipe(), Longer(), {}, 0, run.trial_folder)


def test_half_of_the_places_are_for_networks_near_the_target() -> None:
    small = [(0.6, 1.0 + n / 100, 3.0) for n in range(6)]  # fast learners, far below the target
    near = [(0.5, 2.0 - n / 100, 9.0) for n in range(4)]
    state = state_of(batch(small + near))
    assert promoted(state, LOSS, 1) == [0, 9, 8]  # the best of all, and the two best near the target


def test_networks_beyond_the_target_come_last() -> None:
    state = state_of(batch([(0.9, 0.1, 11.0)] * 3 + [(0.5, 2.0, 4.0)]))
    assert promoted(state, RungConfig(epochs=3, share=0.5, by="loss"), 1) == [3, 0]


@pytest.mark.parametrize(("by", "best"), [("loss", 1), ("accuracy", 0)])
def test_the_measure_of_the_rung_below_decides(by: Any, best: int) -> None:
    state = state_of(batch([(0.9, 2.0, 9.0), (0.5, 1.0, 9.0)]))
    assert promoted(state, RungConfig(epochs=2, share=0.5, by=by), 1) == [best]


def test_equals_go_by_their_number_and_a_batch_of_failures_promotes_none() -> None:
    assert promoted(state_of(batch([(0.5, 1.0, 9.0)] * 5)), LOSS, 1) == [0, 1]
    assert promoted(state_of(batch([])), LOSS, 1) == []


def test_the_searcher_is_told_what_the_highest_rung_would_give(tmp_path: Path) -> None:
    """Trials that were not promoted are shifted by the mean gain of those that were."""
    with create_run(tmp_path / "run", "", {}) as run:
        logged(run, batch([(0.1 + n / 100, 1.0 - n / 100, 9.0) for n in range(10)]))
        rungs(run, LOSS, ACCURACY).climb(run, Objective(target_ms={"host": 10.0}))
        state = run.state
    assert state.promoted.keys() == {(0, 1), (0, 2)} and len(state.promoted[0, 1]) == 3
    assert set(state.promoted[0, 2]) <= set(state.promoted[0, 1])
    pairs = [trial for trial in state.trials.values() if 1 in trial.rungs]
    gain = sum(trial.rungs[1] - trial.rungs[0] for trial in pairs) / len(pairs)
    top = [trial for trial in pairs if 2 in trial.rungs]
    further = sum(trial.rungs[2] - trial.rungs[1] for trial in top) / len(top)
    for trial in state.trials.values():
        above = {0: gain + further, 1: further, 2: 0.0}[trial.rung]
        assert state.estimate(trial) == pytest.approx(trial.rungs[trial.rung] + above)
        assert trial.is_estimated and trial.reward is not None
    best = state.best()
    assert best is not None and best.trial == max(state.trials.values(), key=lambda one: state.estimate(one) or 0).trial
    assert read_state(tmp_path / "run").promoted == state.promoted
    order = ranked(state, [LOSS, ACCURACY])
    assert [(one["rung"], one["by"], one["trials"]) for one in order] == [(0, "loss", len(pairs)), (1, "accuracy", 1)]
    assert order[1]["tau"] is None  # of one trial there is no order


def test_climbing_again_does_nothing(tmp_path: Path) -> None:
    with create_run(tmp_path / "run", "", {}) as run:
        logged(run, batch([(0.5, 1.0, 9.0)] * 8))
        climber = rungs(run, LOSS, ACCURACY)
        climber.climb(run, Objective(target_ms={"host": 10.0}))
        before = (tmp_path / "run" / "events.jsonl").read_text()
        climber.climb(run, Objective(target_ms={"host": 10.0}))
    assert (tmp_path / "run" / "events.jsonl").read_text() == before


def test_a_failure_on_a_rung_leaves_what_is_known(tmp_path: Path) -> None:
    with create_run(tmp_path / "run", "", {}) as run:
        logged(run, batch([(0.5, 1.0, 9.0)] * 40))
        rungs(run, RungConfig(epochs=3, share=1.0, by="loss")).climb(run, Objective(target_ms={"host": 10.0}))
        failed = [trial for trial in run.state.trials.values() if trial.rung_failures]
    assert 0 < len(failed) < 40
    assert all(trial.state == "done" and trial.rung == 0 and trial.is_estimated for trial in failed)


def test_rungs_keep_the_share_of_the_warm_up() -> None:
    assert recipe_of(Recipe(epochs=2, warmup_epochs=0.5), 8).warmup_epochs == 2.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rungs": [{"epochs": 1, "share": 0.3}]}, r"rungs\[?.*epochs: 1 epochs after 1: each rung trains longer"),
        ({"rungs": [{"epochs": 3, "share": 0.3}, {"epochs": 2, "share": 0.1}]}, "2 epochs after 3"),
        ({"rungs": [{"epochs": 3, "share": 0.3}, {"epochs": 9, "share": 0.5}]}, "0.5 after 0.3: no rung takes more"),
        ({"rungs": [{"epochs": 3, "share": 0}]}, "share"),
        ({"rungs": [{"epochs": 3, "share": 0.3}], "evaluator": "supernet"}, "candidates of a supernet are not trained"),
    ],
)
def test_rungs_that_cannot_be_are_refused_in_one_line(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        resolve("quick", None, changes)
    assert "\n" not in str(refused.value)


def test_every_face_shows_who_was_promoted_and_how_well_rungs_rank(tmp_path: Path) -> None:
    path = tmp_path / "run"
    net = "stem_c8,ds_r1_k3_s2_c8,head_c16,net_i28_ch1_o10"
    with create_run(path, dump(resolve("quick", None, {})), {"seed": 0, "versions": {}}) as run:
        logged(run, batch([(0.1 + n / 100, 1.0 - n / 100, 9.0) for n in range(12)], net))
        rungs(run, RungConfig(epochs=3, share=0.5, by="loss")).climb(run, Objective(target_ms={"host": 10.0}))
        run.append("rungs_ranked", rungs=ranked(run.state, [RungConfig(epochs=3, share=0.5, by="loss")]))
        climbed = [trial for trial in run.state.trials.values() if trial.rung]
    (order,) = read_state(path).rungs_ranked
    assert overview(EventReader(path / "events.jsonl").read()).best_by_proxy == read_state(path).best()
    said = f"training loss on rung 0 ranks rung 1: Kendall's tau {order['tau']:.2f}, {len(climbed)} trials"
    shown: Any = answer("runs", "show", path)
    assert shown["rungs_ranked"] == [order] and {one["rung"] for one in shown["trials"]} == {0, 1}
    assert all(one["estimate"] is not None for one in shown["trials"])
    assert said in mnas("runs", "show", path).stdout
    assert mnas("report", path).returncode == mnas("report", path, "--format", "md").returncode == 0
    pages = [file.read_text() for file in (path / "report").iterdir() if file.suffix in (".html", ".md")]
    plain = [page.replace("&#39;", "'") for page in pages]
    assert len(plain) == 2 and all(said in page for page in plain)
    view = [line(event).plain for event in EventReader(path / "events.jsonl").read()]
    assert any("↑ to rung 1: trials" in one for one in view) and any(said in one for one in view)
