"""From the search to the shipped file: one winner, whatever interrupts, fails, or is asked for later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnascli.devices.discipline import Cooling, Discipline
from mnascli.devices.pool import Pool
from mnascli.devices.profiles import Match, Profile
from mnascli.engine import opening, phases
from mnascli.engine.benches.bench import Bench
from mnascli.engine.children.executor import Finished, Started, Task, TaskEvent, TaskFailed
from mnascli.engine.children.places import Place
from mnascli.engine.children.work import train_fully
from mnascli.engine.config import resolve
from mnascli.engine.models.find import find_model
from mnascli.errors import MnasError
from mnascli.report.content import gather
from mnascli.runs import EventReader, Run, RunState, overview, read_state
from mnascli.runs.summary import summarize
from mnascli.runs.winner import winner
from mnascli.space import Architecture, network_id
from stand_ins.scripted_device import ScriptedDevice

OPEN = {"operator": ["sep", "mbconv1", "mbconv3"], "kernel": [3, 5]}
OPEN_BLOCK = {"filters": 6, "layers": 1, "stride": 2, "choices": OPEN}
SALT = 0  # with it later trials beat the first winner
TARGET_MS = 0.145  # a part of the networks below are slower
CONFIG: dict[str, Any] = {
    "target_ms": TARGET_MS,
    "trials": 8,
    "batch": 4,
    "channels": 1,
    "searcher": {"name": "random"},
    "trial_timeout_s": 7.0,
    "objective": {"alpha": -0.07, "beta": -0.07, "band": 0},
    "rungs": (),
    "final": {"finalists": 2, "seeds": 2, "compare": ["mobilenet-v2"], "export": True},
    "space": {
        "input": {"size": 12, "channels": 1},
        "stem": {"filters": 4},
        "head": {"filters": 8},
        "choices": {"operator": ["sep"], "kernel": [3], "se": [0], "skip": ["none"], "layers": [0],
                    "filters": [1.0]},
        "blocks": [OPEN_BLOCK, {"filters": 8, "layers": 1}] * 3
        + [{"filters": 8, "layers": 1, "choices": OPEN}],
    },
}  # fmt: skip


def luck(*parts: object) -> float:
    """A number from 0 to 1 that depends on the parts alone."""
    return int.from_bytes(hashlib.sha256(repr((SALT, *parts)).encode()).digest()[:4], "big") / 2**32


class MadeUp:
    """An executor whose trainings take no time; how good a network is, depends on its string and the training."""

    places = (Place((0,)),)

    def __init__(self, fails: Callable[[Task], bool] = lambda task: False) -> None:
        self.fails, self.tasks = fails, list[Task]()

    def map(self, tasks: Sequence[Task]) -> Generator[TaskEvent, None, None]:
        for task in tasks:
            self.tasks.append(task)
            yield Started(task.key, 0)
            if self.fails(task):
                yield TaskFailed(task.key, "MnasError", "the training diverged")
            else:
                yield Finished(task.key, self.long(task) if task.function is train_fully else self.short(task))

    def short(self, task: Task) -> dict[str, Any]:
        accuracy = 0.5 + luck("short", task.arguments["architecture"]) / 10
        return {"accuracy": accuracy, "history": [accuracy], "seconds": 0.1}

    def long(self, task: Task) -> dict[str, Any]:
        text, seed, folder = (task.arguments[key] for key in ("architecture", "seed", "folder"))
        (folder / "model.safetensors").write_text(text)
        np.save(folder / "test-predictions.npy", np.arange(18) // 9)
        values = {key: 0.7 + luck(key, text, seed) / 10 for key in ("validation", "selection", "test", "test_top5")}
        files = {"checkpoint": folder / "model.safetensors", "predictions": folder / "test-predictions.npy"}
        return {**values, "test_images": 18, "seconds": 1.0, **{key: str(path) for key, path in files.items()}}

    def reserve(self, cores: Collection[int]) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder, rng = tmp_path / "pictures", np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for number in range(60):
            Image.fromarray(rng.integers(0, 255, (12, 12)).astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def made_up_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone whose milliseconds are the size of the file, and an export that writes down the architecture."""

    def open_benches(*arguments: Any) -> list[Bench]:
        device = ScriptedDevice()
        device.ms_of = lambda content: len(content) / 1e5
        discipline = Discipline(cooling=Cooling(pause_s=0.001, max_pause_s=0.002))
        profile = Profile(name="pixel", match=Match(kind="adb"), measuring=discipline)
        return [Bench(Pool("pixel", profile, [device], poll_s=0.01))]

    def export(checkpoint: Path, file: Path, dataset: object, benches: Sequence[Bench]) -> dict[str, Any]:
        file.write_text(checkpoint.read_text())
        return {"file": str(file), "size_mb": 0.1, "max_abs_difference": 0.0, "latency_ms": {"pixel": 0.14}}

    monkeypatch.setattr(opening, "open_benches", open_benches)
    monkeypatch.setattr(phases, "export", export)


def go_on(
    path: Path, pictures: Path, trials: int | None = None, executor: MadeUp | None = None, **changes: Any
) -> RunState:
    """Make the run, or resume it, to its end; checks that every face names the winner whose file is shipped."""
    if path.exists():
        opened = opening.resume(path, trials)
    else:
        opened = opening.begin(resolve("quick", None, {**CONFIG, "data": str(pictures), **changes}), path)
    opened.executor = executor or MadeUp()  # type: ignore[assignment]
    try:
        phases.run_all(opened)
    finally:
        opened.close()
    return check_winner(path)


def check_winner(path: Path) -> RunState:
    state = read_state(path)
    found = winner(state)
    assert found is not None and state.is_finished and state.export is not None
    summary = summarize(path, state)
    view = overview(EventReader(path / "events.jsonl").read())
    content_winner = gather(path).winner()
    assert summary["best"]["trial"] == state.export["trial"] == found.trial
    assert view.best is not None and view.best.trial == found.trial
    assert content_winner is not None and content_winner.trial == found.trial
    assert find_model(str(path), path.parent).architecture == Architecture.parse(found.architecture)
    assert (path / state.export["file"]).read_text() == found.architecture
    assert [one["trial"] for one in summary["comparison"] if one["trial"] is not None] == [found.trial]
    assert [one["points"] for one in summary["baselines"]] in ([0.0], [None])
    assert summary["best_by_proxy"]["trial"] == state.best().trial  # type: ignore[union-attr]
    return state


def long_runs(state: RunState) -> dict[str, float]:
    """Selection accuracies of the trials that were trained in full with the first seed."""
    return {
        model: run["selection"]
        for (model, seed), run in state.long_runs.items()
        if seed == 0 and run["trial"] is not None
    }


def test_interrupted_at_every_event_it_ships_the_same_winner(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = go_on(tmp_path / "whole", pictures)
    append = Run.append
    path, executor = tmp_path / "cut", MadeUp()
    # Of the search, whose loop has tests of its own, a few; what each life logs anew does not count.
    passed = {"run_resumed", "devices_opened", "started", "warned", "measured", "trained", "done"}
    cut = set[tuple[object, ...]]()

    def interrupted(self: Run, event: str, **values: Any) -> None:
        append(self, event, **values)
        point = (event, *(values.get(key) for key in ("phase", "step", "model", "seed")))
        if event not in passed and point not in cut:
            cut.add(point)
            raise KeyboardInterrupt

    monkeypatch.setattr(Run, "append", interrupted)
    state = None
    while state is None:
        with suppress(KeyboardInterrupt):
            state = go_on(path, pictures, executor=executor)
    assert len(cut) >= 20
    assert (state.chosen, state.finalists) == (whole.chosen, whole.finalists)
    assert long_runs(state) == long_runs(whole)
    assert state.compared.keys() == whole.compared.keys() and state.lead == whole.lead
    long_trained = [(task.arguments["architecture"], task.arguments["seed"]) for task in executor.tasks
                    if task.function is train_fully]  # fmt: skip
    assert len(state.long_runs) == len(whole.long_runs) <= len(long_trained)


def test_the_winner_meets_the_target_first_and_is_the_most_accurate_then(tmp_path: Path, pictures: Path) -> None:
    state = go_on(tmp_path / "run", pictures)
    finalists = [state.trials[number] for number in state.finalists]
    assert len(finalists) == 2
    meets = [one for one in finalists if one.latency_ms["pixel"] <= TARGET_MS]
    best = max(meets or finalists, key=lambda one: long_runs(state)[f"trial-{one.trial}"])
    assert state.chosen == best.trial


def test_more_trials_that_find_a_better_one_ship_that(tmp_path: Path, pictures: Path) -> None:
    path = tmp_path / "run"
    first = go_on(path, pictures)
    changed = False
    for trials in (16, 24, 40):
        before = read_state(path)
        state = go_on(path, pictures, trials=trials)
        assert len(state.trials) == trials
        assert set(before.finalists) <= set(state.finalists)  # whoever was trained in full may still win
        changed |= state.chosen != first.chosen
    assert changed
    events = list(EventReader(path / "events.jsonl").read())
    exported = [one["trial"] for one in events if one["event"] == "exported"]
    assert exported[-1] == state.chosen and exported[0] == first.chosen
    again = len(events)
    assert go_on(path, pictures).chosen == state.chosen  # nothing is left to do, and nothing is done
    new = [one["event"] for one in list(EventReader(path / "events.jsonl").read())[again:]]
    assert set(new) <= {"run_resumed", "devices_opened", "run_finished"}


def test_a_resume_without_trials_goes_on_to_those_asked_for_last(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, append = tmp_path / "run", Run.append
    go_on(path, pictures)

    def interrupted(self: Run, event: str, **values: Any) -> None:
        append(self, event, **values)
        if event == "asked":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Run, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            go_on(path, pictures, trials=16)
    assert len(go_on(path, pictures).trials) == 16


def test_a_network_is_trained_once_and_is_one_finalist(tmp_path: Path, pictures: Path) -> None:
    executor = MadeUp()
    few = {**CONFIG["space"], "blocks": [OPEN_BLOCK, *[{"filters": 8, "layers": 1}] * 6]}  # 4 networks: sep is mbconv1
    go_on(tmp_path / "run", pictures, executor=executor, space=few)
    state = go_on(tmp_path / "run", pictures, trials=30, executor=executor)
    short = [network_id(Architecture.parse(task.arguments["architecture"])) for task in executor.tasks
             if task.function is not train_fully]  # fmt: skip
    assert len(short) == len(set(short)) == 4
    repeated = [trial for trial in state.trials.values() if trial.repeats is not None]
    assert repeated
    for trial in repeated:
        first = state.trials[trial.repeats or 0]
        assert first.trial < trial.trial and first.network == trial.network
        assert (trial.accuracy, trial.latency_ms, trial.state) == (first.accuracy, first.latency_ms, "done")
    networks = [state.trials[number].network for number in state.finalists]
    assert len(networks) == len(set(networks))


def test_a_finalist_whose_training_fails_gives_its_place_to_the_next(tmp_path: Path, pictures: Path) -> None:
    first = go_on(tmp_path / "healthy", pictures)
    bad = first.trials[first.finalists[0]].architecture

    def fails(task: Task) -> bool:
        return task.function is train_fully and task.arguments["architecture"] == bad

    executor = MadeUp(fails)
    state = go_on(tmp_path / "run", pictures, executor=executor)
    assert len(state.finalists) == 2 and first.finalists[0] not in state.finalists
    (failure,) = state.long_failures.values()
    assert (failure["trial"], failure["reason"]) == (first.finalists[0], "the training diverged")
    tried = len([task for task in executor.tasks if fails(task)])
    state = go_on(tmp_path / "run", pictures, trials=12, executor=executor)
    assert len([task for task in executor.tasks if fails(task)]) == tried == 1  # and never again


def test_a_baseline_whose_training_fails_is_left_out(tmp_path: Path, pictures: Path) -> None:
    def fails(task: Task) -> bool:
        return "mobilenet" in str(task.output)

    state = go_on(tmp_path / "run", pictures, executor=MadeUp(fails))
    assert len(state.long_failures) == 2  # both seeds
    summary = summarize(tmp_path / "run", state)
    assert [one["model"] for one in summary["failed_long_trainings"]] == [summary["baselines"][0]["model"]] * 2
    assert summary["baselines"][0]["points"] is None


def test_where_no_finalist_is_left_it_ends_and_tries_them_again_when_resumed(tmp_path: Path, pictures: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(
        MnasError, match=r"full trainings of all \d finalists failed, .*the training diverged; see .*--resume"
    ):
        go_on(path, pictures, executor=MadeUp(lambda task: task.function is train_fully))
    assert read_state(path).stopped is not None
    assert go_on(path, pictures).stopped is None


def test_a_network_that_cannot_be_scaled_is_not_compared_with(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*arguments: object) -> None:
        raise MnasError("mobilenet-v2 x0.1: crashed on pixel")

    monkeypatch.setattr("mnascli.engine.finals.scale_to_latency", breaks)
    state = None
    with pytest.raises(AssertionError):  # there is no baseline to check
        state = go_on(tmp_path / "run", pictures)
    state = read_state(tmp_path / "run")
    assert state.is_finished and "mobilenet-v2 is omitted from the comparison" in state.warnings[-1]


def test_only_short_trainings_have_a_limit(tmp_path: Path, pictures: Path) -> None:
    executor = MadeUp()
    go_on(tmp_path / "run", pictures, executor=executor)
    limits = {(task.function is train_fully, task.timeout_s) for task in executor.tasks}
    assert limits == {(False, 7.0), (True, None)}


def test_an_older_log_names_the_winner_it_compared(tmp_path: Path, pictures: Path) -> None:
    """Before `winner_chosen` was logged, the first entry of the comparison was the winner."""
    state = go_on(tmp_path / "run", pictures)
    log = tmp_path / "run" / "events.jsonl"
    newer = ("winner_chosen", "lead_told", "repeated")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps(one) + "\n" for one in events if one["event"] not in newer))
    older = winner(read_state(tmp_path / "run"))
    assert older is not None and older.trial == state.chosen
