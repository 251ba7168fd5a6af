"""The cumulated views against the plain computation over all events."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnascli.runs import Event, EventReader, Overview, Plan, Point, RunError, fold, overview
from mnascli.runs.views import MEAN_OVER, add_to_front, entropy
from mnascli.search.pareto import front

PLAN = Plan(trials=40, long_runs=4)


def event(name: str, time: float, **values: Any) -> Event:
    return {"v": 1, "time": time, "event": name, **values}


def search(trials: int, seconds: float = 10.0) -> list[Event]:
    """A search with one device in which every seventh trial fails, a trial each `seconds`."""
    events = [
        event("run_started", 0.0),
        event("target_set", 0.0, target_ms={"phone": 6.0}, why="given"),
        event("phase", 0.0, phase="search"),
    ]
    for number in range(trials):
        now = seconds * (number + 1)
        asked = [{"trial": number, "architecture": f"arch{number}"}]
        events.append(event("asked", now, step=number, searcher="s", trials=asked))
        events.append(event("started", now, trial=number, worker=0))
        verdict = "unstable" if number % 5 == 1 else "stable"
        values = {"latency_ms": float(number * 7 % 11), "p5_ms": 0.0, "p95_ms": 0.0, "verdict": verdict}
        events.append(event("measured", now, trial=number, device="phone", **values))
        if number % 7 == 3:
            events.append(event("failed", now, trial=number, stage="train", kind="nan", reason="not a number"))
            continue
        accuracy = (number * 5 % 13) / 13
        events.append(event("trained", now, trial=number, accuracy=accuracy, history=[accuracy], seconds=1.0))
        events.append(event("done", now, trial=number, reward=accuracy / 2))
    return events


def test_counts_best_means_and_front_agree_with_the_state() -> None:
    view, state = overview(search(50)), fold(search(50))
    assert view.state == state
    assert (view.done, view.failed) == (len(state.done()), len(state.failed()))
    assert view.failures == {"train: nan": view.failed}
    assert view.best is not None and view.best.trial == state.best().trial  # type: ignore[union-attr]
    plain = front((trial.latency_ms["phone"], trial.accuracy or 0.0) for trial in state.done())
    assert [(point.latency_ms, point.accuracy) for point in view.fronts["phone"]] == plain
    rewards = [trial.reward or 0.0 for trial in state.done()]
    assert view.means[-1] == pytest.approx(sum(rewards[-MEAN_OVER:]) / MEAN_OVER)
    assert view.means[0] == rewards[0] and len(view.means) == len(view.rewards) == view.done
    phone = view.devices["phone"]
    assert (phone.measured, phone.unstable, phone.last_trial) == (50, 10, 49)


def test_rate_and_time_left() -> None:
    view = overview(search(10))
    assert view.progress(PLAN) == (10, 40)
    assert view.per_hour() == pytest.approx(360)
    assert view.left_s(PLAN) == pytest.approx(300)
    assert view.left_s(PLAN, now=150.0) == pytest.approx(420)  # nothing was asked for a while: it takes longer
    assert overview(search(1)).left_s(PLAN) == pytest.approx(390)
    assert overview(search(0)).left_s(PLAN) is None
    view.apply(event("run_resumed", 99999.0, trials=60))  # a night in between says nothing of the rate
    assert view.per_hour() is None and view.progress(PLAN) == (10, 60)
    view.apply(event("phase", 99999.0, phase="finalists"))
    assert view.progress(PLAN) == (0, 4)


def batches(count: int, size: int = 50) -> list[Event]:
    """Batches that are measured for 90 s each, and whose trials then end within 10 s."""
    events = [event("phase", 0.0, phase="search")]
    for step in range(count):
        numbers = range(step * size, (step + 1) * size)
        asked = [{"trial": number, "architecture": "a"} for number in numbers]
        events.append(event("asked", 100.0 * step, step=step, searcher="s", trials=asked))
        for n, number in enumerate(numbers, 1):
            now = 100.0 * step + 90 + 10 * n / size
            events.append(event("failed", now, trial=number, stage="train", kind="nan", reason="-"))
    return events


def test_the_time_left_counts_whole_batches() -> None:
    plan = Plan(trials=500, long_runs=0, batch=50)
    view = Overview()
    for one in batches(6):
        view.apply(one)
        truth = 1000.0 - one["time"]
        if view.finished > 50:  # a batch is over, and the next was asked for
            assert view.left_s(plan) == pytest.approx(truth, abs=0.1)
            assert view.per_hour() == pytest.approx(1800)
    assert 400 < (view.left_s(plan, now=650.0) or 0) < 600  # the next batch is late
    assert view.left_s(Plan(trials=300, long_runs=0), now=650.0) == 0.0


def test_the_queue_of_a_device() -> None:
    view = Overview()
    for one in search(3)[:3]:
        view.apply(one)
    view.apply(event("asked", 1.0, step=0, searcher="s", trials=[{"trial": n, "architecture": "a"} for n in range(4)]))
    assert view.waiting("phone") == 4
    view.apply(event("measured", 2.0, trial=0, device="phone", latency_ms=1.0, verdict="stable"))
    view.apply(event("failed", 2.0, trial=1, stage="train", kind="nan", reason="-"))
    assert view.waiting("phone") == 2


def test_a_device_event_that_is_not_known_is_kept_until_the_device_measures_again() -> None:
    view = overview(search(2))
    view.apply(event("device_napping", 30.0, device="phone", reason="at night"))
    assert view.devices["phone"].notice == view.notable[-1]
    for one in search(3)[-5:]:
        view.apply(one)
    assert view.devices["phone"].notice is None


def test_what_was_learned() -> None:
    view = overview([event("learned", 1.0, step=0, probabilities={"block1.kernel": {"3": 0.5, "5": 0.5}})])
    view.apply(event("learned", 2.0, step=1, probabilities={"block1.kernel": {"3": 1.0, "5": 0.0}}))
    assert view.entropies == [(0, pytest.approx(1.0)), (1, 0.0)]
    assert view.probabilities["block1.kernel"]["3"] == 1.0
    assert entropy({"one": {"only": 1.0}}) == 0.0


points = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=30)


@given(points)
def test_a_front_kept_point_by_point_is_the_front(pairs: list[tuple[int, int]]) -> None:
    kept: list[Point] = []
    for number, (latency_ms, accuracy) in enumerate(pairs):
        add_to_front(kept, Point(latency_ms, accuracy, number))
    assert [(point.latency_ms, point.accuracy) for point in kept] == front(pairs)


def test_a_plan_out_of_a_configuration() -> None:
    final = {"finalists": 2, "seeds": 3, "compare": ["a", "b"]}
    assert Plan.of({"trials": 30, "batch": 6, "final": final}) == Plan(30, 10, 6)
    with pytest.raises(KeyError):
        Plan.of({"trials": 30})


GOOD = b'{"v":1,"time":1.0,"event":"phase","phase":"search"}\n'


@pytest.mark.parametrize(
    "damage",
    [
        b"{broken\n",
        b"\n",
        b"[1\n2]\n",
        GOOD[:-1] + b"," + GOOD,
        b'{"v":1,"event":"a\nb"}\n',
        b'{"v":2,"time":1.0,"event":"phase"}\n',
        b'{"v":1,"time":1.0,"event":7}\n',
        b"\xff\xfe\n",
    ],
)
def test_damage_in_a_block_names_its_line_and_what_stands_before_is_read(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(GOOD * 3 + damage + GOOD)
    events = EventReader(file).read()
    assert len([next(events) for _ in range(3)]) == 3
    with pytest.raises(RunError, match="line 4"):
        next(events)


def test_a_log_that_grows_by_halves_of_lines(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"")
    reader, lines = EventReader(file), b"".join(json.dumps(one).encode() + b"\n" for one in search(5))
    read = []
    for start in range(0, len(lines), 37):
        with file.open("ab") as log:
            log.write(lines[start : start + 37])
        read += reader.read()
    assert read == search(5)
    assert reader.offset == len(lines)


def test_the_time_that_a_latency_model_took_is_not_an_epochs() -> None:
    view = overview(
        [
            event("run_started", 0.0),
            event("phase", 0.0, phase="supernet"),
            event("latency_modelled", 500.0, device="phone", median=0.05, tau=0.9),
            event("supernet_epoch", 520.0, epoch=1, loss=1.0),
        ]
    )
    assert view.left_s(Plan(trials=40, long_runs=4, supernet_epochs=5)) == pytest.approx(80.0)


def test_drift_is_of_the_reference_over_its_fastest_on_the_device() -> None:
    view = Overview()
    view.apply(event("asked", 0.0, step=0, searcher="s", trials=[{"trial": n, "architecture": "a"} for n in range(4)]))
    for trial, (reference_ms, wanted) in enumerate(((2.0, 0.0), (1.6, 0.0), (1.7, 0.0625), (None, None))):
        values = {"device": "phone", "latency_ms": 1.0, "verdict": "stable", "reference_ms": reference_ms}
        view.apply(event("measured", 1.0, trial=trial, **values))
        assert view.devices["phone"].drift == (None if wanted is None else pytest.approx(wanted))
