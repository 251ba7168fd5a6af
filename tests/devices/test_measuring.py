"""The discipline over a scripted device: what it accepts, does again, marks and discards."""

import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnascli.devices.device import DeviceError, DeviceLostError, ModelError, Session, percentile
from mnascli.devices.discipline import Cooling, Discipline
from mnascli.devices.measuring import Latency, measure
from mnascli.errors import UsageError
from mnascli.schema import parse
from stand_ins.scripted_device import ScriptedDevice, write_model

# One of a phone: 3 sessions of 1.5 s, all to agree within 3 %; the reference may drift by 3 %.
PHONE = Discipline(cooling=Cooling(max_temperature_c=35, pause_s=10, max_pause_s=90))


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    return [write_model(tmp_path, name, ms) for name, ms in (("a", 5.0), ("b", 10.0), ("c", 20.0))]


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return write_model(tmp_path, "reference", 4.0)


def run(device: ScriptedDevice, models: list[Path], discipline: Discipline = PHONE, **options: Any) -> list[Latency]:
    results = measure(device, models, discipline, now=device.now, sleep=device.sleep, **options)
    assert all(isinstance(result, Latency) for result in results)
    return results  # type: ignore[return-value]


def verdicts(results: list[Latency]) -> list[str]:
    return [result.verdict for result in results]


def medians(results: list[Latency]) -> list[float]:
    return [round(result.median_ms, 6) for result in results]


# --- steady


def test_a_steady_device_is_believed_at_once(models: list[Path], reference: Path) -> None:
    device = ScriptedDevice()
    results = run(device, models, reference=reference)
    assert verdicts(results) == ["stable"] * 3
    assert medians(results) == [5.0, 10.0, 20.0]
    assert device.ran.count("a") == 3 and device.slept_s == []
    assert [(result.runs, result.problem, result.reference_drift) for result in results] == [(150, "", 0.0)] * 3
    assert results[0].p5_ms == pytest.approx(4.9) and results[0].p95_ms == pytest.approx(5.15)
    assert results[0].reference_ms == pytest.approx(4.0)


def test_sessions_are_interleaved_with_the_reference_between(models: list[Path], reference: Path) -> None:
    device = ScriptedDevice()
    run(device, models, PHONE.model_copy(update={"sessions": 2, "keep": 2, "reference_every": 2}), reference=reference)
    assert device.ran == ["reference", *("a", "b", "reference", "c", "reference") * 2]


def test_without_a_reference_nothing_else_runs(models: list[Path]) -> None:
    device = ScriptedDevice()
    results = run(device, models)
    assert device.ran == ["a", "b", "c"] * 3
    assert results[0].reference_ms is None and results[0].verdict == "stable"


def test_a_round_takes_its_time(models: list[Path]) -> None:
    device = ScriptedDevice()
    run(device, models[:1], PHONE.model_copy(update={"round_min_s": 4.0}))
    assert device.slept_s == pytest.approx([2.5] * 3)


def test_models_are_removed_and_the_reference_stays(models: list[Path], reference: Path) -> None:
    device = ScriptedDevice()
    run(device, models, reference=reference)
    assert sorted(device.released) == ["a", "b", "c"] and device.held == {reference}


def test_the_same_file_twice_is_measured_once(models: list[Path]) -> None:
    device = ScriptedDevice()
    first, second = run(device, [models[0], models[0]])
    assert first == second and device.ran == ["a"] * 3


# --- a device that is not itself


def test_one_slow_session_is_replaced(models: list[Path]) -> None:
    device = ScriptedDevice(lambda time_s, session: 1.2 if session == 1 else 1.0)
    (result,) = run(device, models[:1])
    assert (result.verdict, round(result.median_ms, 6)) == ("stable", 5.0)
    assert len(result.sessions) == 3 and [round(one.median_ms, 6) for one in result.set_aside] == [6.0]


def test_one_lucky_session_is_not_the_result(models: list[Path]) -> None:
    """A virtual machine that is alone for a moment runs a third faster than it ever does again."""
    device = ScriptedDevice(lambda time_s, session: 0.67 if session == 1 else 1.0)
    (result,) = run(device, models[:1])
    assert (result.verdict, round(result.median_ms, 6)) == ("stable", 5.0)


def test_two_speeds_give_the_fast_one(models: list[Path]) -> None:
    """Sessions flip between 7.4 and 9.7 ms, as on a shared virtual machine."""
    device = ScriptedDevice(lambda time_s, session: 1.31 if session % 2 else 1.0)
    host = Discipline(sessions=8, keep=4, max_difference=0.05)
    (result,) = run(device, models[:1], host)
    assert (result.verdict, round(result.median_ms, 6)) == ("stable", 5.0)
    assert len(result.set_aside) == 4


def test_speeds_that_never_agree_are_unstable(models: list[Path]) -> None:
    device = ScriptedDevice(lambda time_s, session: 1.07**session)
    (result,) = run(device, models[:1])
    assert result.verdict == "unstable"
    assert result.problem == "sessions differ by 14.5% (limit 3.0%)"
    assert device.ran == ["a"] * (3 + PHONE.retries)
    assert medians([result]) == [round(5 * 1.07, 6)]  # the middle of the fastest three


def test_runs_that_spread_are_unstable(models: list[Path]) -> None:
    device = ScriptedDevice()
    device.pattern = [0.9, 0.95, 1.0, 1.05, 1.3]
    (result,) = run(device, models[:1])
    assert result.verdict == "unstable"
    assert "spread by 40.0% (limit 15.0%)" in result.problem


def test_a_short_drift_is_waited_out(models: list[Path], reference: Path) -> None:
    """5 % slower for ten seconds: sessions beside the slow reference do not count and are done again after a pause."""
    device = ScriptedDevice(lambda time_s, session: 1.05 if 5 < time_s < 18 else 1.0)
    results = run(device, models, reference=reference)
    assert verdicts(results) == ["stable"] * 3
    assert medians(results) == [5.0, 10.0, 20.0]
    assert all(result.set_aside for result in results)


def test_a_device_that_is_slower_than_in_the_last_batch_is_noticed(models: list[Path], reference: Path) -> None:
    device = ScriptedDevice(lambda time_s, session: 1.06)
    results = run(device, models, reference=reference, baseline_ms=4.0)
    assert verdicts(results) == ["unstable"] * 3
    assert results[0].problem == "the reference model was 6.0% slower than before (limit 3.0%)"
    assert results[0].reference_ms == pytest.approx(
        4.24
    )  # so that a device that stays so is judged by itself next time
    assert device.slept_s == [10.0, 20.0, 40.0]


def test_a_device_that_is_faster_than_in_the_last_batch_is_believed(models: list[Path], reference: Path) -> None:
    results = run(ScriptedDevice(), models, reference=reference, baseline_ms=4.4)
    assert verdicts(results) == ["stable"] * 3


def test_throttling_discards_the_batch_once(models: list[Path], reference: Path) -> None:
    """20 % slower from the seventh second on, well again after the cool-down: all is measured anew."""
    device = ScriptedDevice(lambda time_s, session: 1.2 if 7 < time_s < 15 else 1.0)
    results = run(device, models, reference=reference)
    assert verdicts(results) == ["stable"] * 3
    assert device.slept_s == [10.0]
    assert [len(result.set_aside) for result in results] == [0, 0, 0]
    assert device.ran.count("a") > 3


def test_throttling_that_stays_is_unstable(models: list[Path], reference: Path) -> None:
    device = ScriptedDevice(lambda time_s, session: 1.2 if time_s > 7 else 1.0)
    results = run(device, models, reference=reference)
    assert verdicts(results) == ["unstable"] * 3
    assert "the reference model was 20.0% slower than before" in results[0].problem
    assert device.slept_s == [10.0, 20.0, 40.0, 80.0]


# --- a machine that others use too

SHARED = PHONE.model_copy(
    update={"shared": True, "sessions": 8, "keep": 3, "reference_every": 1, "max_drift": 2.0, "discard_drift": 9.0}
)


def test_what_a_neighbour_takes_the_reference_gives_back(models: list[Path], reference: Path) -> None:
    """A third slower for minutes: the medians of a phone's discipline would be called unstable, or be wrong."""
    for slow in (lambda time_s, session: 1.4 if 20 < time_s < 90 else 1.0, lambda time_s, session: 1.4):
        device = ScriptedDevice(slow)
        results = run(device, models, SHARED, reference=reference, baseline_ms=4.0 * 0.98)
        assert verdicts(results) == ["stable"] * 3
        assert medians(results) == pytest.approx([4.9, 9.8, 19.6], rel=0.003)  # 5 %, the fastest of `PATTERN`


def test_interruptions_of_single_runs_do_not_count(models: list[Path], reference: Path) -> None:
    device = ScriptedDevice()
    device.pattern = [1.0, 1.0, 1.7, 2.5, 4.0]
    results = run(device, models, SHARED.model_copy(update={"max_spread": 9.0}), reference=reference)
    assert verdicts(results) == ["stable"] * 3
    assert medians(results) == [5.0, 10.0, 20.0]
    assert results[0].p95_ms == pytest.approx(5.0)
    assert results[0].sessions[0].p95_ms == pytest.approx(20.0)


@pytest.mark.parametrize("slow", [1.0, 1.4])
def test_the_interval_is_of_the_runs_and_the_speed_of_the_median(
    models: list[Path], reference: Path, slow: float
) -> None:
    """Of a tenth of the runs that nothing interrupted, also while a neighbour makes all of them slower."""
    device = ScriptedDevice(lambda time_s, session: slow)
    device.pattern = [1 + n / 1000 for n in range(20)] + [2.0] * 180
    lenient = SHARED.model_copy(update={"runs": 200, "max_spread": 9.0})
    (result,) = run(device, models[:1], lenient, reference=reference, baseline_ms=4.0 * 1.00995)
    numbers = (result.p5_ms, result.median_ms, result.p95_ms)
    assert numbers == pytest.approx((5 * 1.000995, 5 * 1.00995, 5 * 1.018905), rel=1e-4)
    for session in result.sessions:
        fastest = sorted(session.samples_ms)[:20]
        assert statistics.median(fastest) / slow == pytest.approx(result.median_ms, rel=1e-3)
        assert fastest[0] / slow < result.p5_ms < result.p95_ms < fastest[-1] / slow


def test_a_shared_phone_that_gives_a_summary_has_an_interval_too(models: list[Path], reference: Path) -> None:
    device = ScriptedDevice()
    whole = device.run

    def summary(model: Path, **how: Any) -> Session:
        return dataclasses.replace(whole(model, **how), samples_ms=())

    device.run = summary  # type: ignore[method-assign]
    (result,) = run(device, models[:1], SHARED, reference=reference)
    assert (result.p5_ms, result.median_ms, result.p95_ms) == pytest.approx((4.9, 5.0, 5.15))


def test_an_interrupted_reference_makes_no_candidate_faster(models: list[Path], reference: Path) -> None:
    """Every seventh session is half again as slow: those beside such a reference do not count."""
    device = ScriptedDevice(lambda time_s, session: 1.5 if session % 7 == 0 else 1.0)
    results = run(device, models, SHARED, reference=reference)
    assert verdicts(results) == ["stable"] * 3
    assert medians(results) == pytest.approx([4.9, 9.8, 19.6], rel=0.003)


def test_sessions_between_unlike_references_are_unstable(models: list[Path], reference: Path) -> None:
    """Every other reference is half again as slow: which of the two speeds the session had, nothing tells."""
    device = ScriptedDevice(lambda time_s, session: 1.5 if session % 4 == 0 else 1.0)
    (result,) = run(device, models[:1], SHARED, reference=reference)
    assert result.verdict == "unstable"
    assert result.problem == "the references beside a session differ by 50.0% (limit 3.0%)"


def test_speeds_that_the_reference_does_not_see_are_unstable(models: list[Path], reference: Path) -> None:
    device = ScriptedDevice()
    device.slowdown = lambda time_s, session: 1.0 if device.ran[-1] == "reference" else 1.05**session
    (result,) = run(device, models[:1], SHARED, reference=reference)
    assert result.verdict == "unstable" and "sessions differ by" in result.problem


# --- too warm


def test_a_warm_device_cools_down_first(models: list[Path]) -> None:
    device = ScriptedDevice()
    device.temperature_c = lambda time_s: 38.0 if time_s < 25 else 33.0
    (result,) = run(device, models[:1])
    assert device.slept_s == [10.0, 20.0]
    assert result.verdict == "stable" and not result.set_aside


def test_a_device_that_stays_warm_is_unstable(models: list[Path]) -> None:
    device = ScriptedDevice()
    device.temperature_c = lambda time_s: 41.0
    (result,) = run(device, models[:1])
    assert result.verdict == "unstable"
    assert result.problem == "the device stayed too warm (41 °C)"
    assert device.slept_s == [10.0, 20.0, 40.0]


# --- crashing, gone


def test_one_crash_is_an_accident(models: list[Path]) -> None:
    device = ScriptedDevice()
    device.crashes = {"b": 1}
    assert verdicts(run(device, models)) == ["stable"] * 3


def test_a_model_that_crashes_twice_fails_alone(models: list[Path], reference: Path) -> None:
    device = ScriptedDevice()
    device.crashes = {"b": 2}
    first, second, third = measure(device, models, PHONE, reference=reference, now=device.now, sleep=device.sleep)
    assert isinstance(second, ModelError) and second.log == "SIGSEGV"
    assert isinstance(first, Latency) and isinstance(third, Latency)
    assert device.ran.count("b") == 2 and "b" in device.released


def test_a_reference_that_crashes_is_no_candidates_fault(models: list[Path], reference: Path) -> None:
    device = ScriptedDevice()
    device.crashes = {"reference": 1}
    assert verdicts(run(device, models, reference=reference)) == ["stable"] * 3
    device.crashes = {"reference": 2}
    with pytest.raises(DeviceError, match="scripted: the reference model does not run") as caught:
        run(device, models, reference=reference)
    assert not isinstance(caught.value, ModelError)


def test_a_lost_device_ends_the_batch_and_measures_again_when_it_is_back(models: list[Path]) -> None:
    device = ScriptedDevice()
    device.lost_at = 4
    with pytest.raises(DeviceLostError, match="the cable is out"):
        run(device, models)
    assert sorted(device.released) == ["a", "b", "c"]
    assert verdicts(run(device, models)) == ["stable"] * 3


def test_a_file_that_is_no_model_stops_before_anything_runs(models: list[Path], tmp_path: Path) -> None:
    device = ScriptedDevice()
    (tmp_path / "x.tflite").write_text("no")
    with pytest.raises(UsageError, match=r"x\.tflite: not a \.tflite file"):
        run(device, [*models, tmp_path / "x.tflite"])
    assert device.ran == []


# --- any device


@given(st.lists(st.floats(0.5, 3.0), min_size=40, max_size=40), st.booleans())
def test_what_is_called_stable_agrees(tmp_path_factory: Any, factors: list[float], with_reference: bool) -> None:
    folder = tmp_path_factory.mktemp("models")
    device = ScriptedDevice(lambda time_s, session: factors[session % 40])
    models = [write_model(folder, "a", 5.0), write_model(folder, "b", 9.0)]
    reference = write_model(folder, "reference", 4.0) if with_reference else None
    for result in run(device, models, reference=reference):
        kept = [session.median_ms for session in result.sessions]
        assert len(kept) == PHONE.keep and min(kept) <= result.median_ms <= max(kept)
        if result.verdict == "stable":
            assert max(kept) <= min(kept) * (1 + PHONE.max_difference + 1e-9)
            assert result.reference_drift <= PHONE.max_drift and not result.problem
        else:
            assert result.problem
        assert Latency.from_json(json.loads(json.dumps(result.to_json()))) == result
    assert len(device.slept_s) <= 2 * PHONE.retries + 1


@given(st.lists(st.floats(0.001, 1000), min_size=1), st.floats(0, 100, allow_subnormal=False))
def test_percentile_is_numpys(values: list[float], percent: float) -> None:
    numpy = pytest.importorskip("numpy")
    assert percentile(values, percent) == pytest.approx(numpy.percentile(values, percent))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sesions": 3}, r"sesions: unknown key \(did you mean 'sessions'\?\)"),
        ({"runs": 0}, "runs: .*greater than or equal to 1"),
        ({"min_s": "long"}, "min_s: .*number"),
        ({"sessions": 2, "keep": 3}, r"keep \(3\) must not be above sessions \(2\)"),
        ({"max_drift": 0.2}, r"discard_drift \(0.1\) must not be below max_drift \(0.2\)"),
        ({"cooling": {"pause": 3}}, r"cooling.pause: unknown key"),
    ],
)
def test_a_discipline_that_makes_no_sense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^p.yaml: .*{message}"):
        parse(Discipline, values, "p.yaml")
