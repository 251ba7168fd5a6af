"""A pool over scripted devices: work shared, handed over, waited for; liars set aside; nothing lost, nothing twice."""

import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from mnascli.devices.device import DeviceError, ModelError
from mnascli.devices.discipline import Cooling, Discipline
from mnascli.devices.measuring import Latency
from mnascli.devices.pool import Measured, News, Pool
from mnascli.devices.profiles import Match, Profile
from mnascli.errors import NoDeviceError
from stand_ins.scripted_device import ScriptedDevice, write_model

PHONE = Discipline(cooling=Cooling(max_temperature_c=35, pause_s=0.001, max_pause_s=0.002))
PROFILE = Profile(name="phone", match=Match(kind="adb"), measuring=PHONE)


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    return [write_model(tmp_path, f"m{number}", 5.0 + number) for number in range(12)]


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return write_model(tmp_path, "reference", 4.0)


def pool_of(*devices: ScriptedDevice, profile: Profile = PROFILE) -> Pool:
    return Pool("phone", profile, devices, poll_s=0.01)


class Seen:
    """What came out of a pool, with checks that hold always."""

    def __init__(self, pool: Pool, models: list[Path], reference: Path | None = None) -> None:
        self.results: dict[int, Latency | ModelError] = {}
        self.by: dict[int, str] = {}
        self.news: list[tuple[str, str]] = []
        self.reasons: list[str] = []
        for item in pool.measure(models, reference):
            if isinstance(item, News):
                self.news.append((item.kind, item.serial))
                self.reasons.append(item.reason)
                continue
            assert isinstance(item, Measured)
            assert item.index not in self.results, "a result was told twice"
            self.results[item.index], self.by[item.index] = item.result, item.serial
        assert sorted(self.results) == list(range(len(models))), "a result was lost"

    def check_truth(self, models: list[Path]) -> None:
        """Every result is stable and right."""
        for index, result in self.results.items():
            assert isinstance(result, Latency) and result.verdict == "stable"
            assert result.median_ms == pytest.approx(5.0 + int(models[index].stem[1:]), rel=0.03)


# --- sharing


def test_twins_share_the_work(models: list[Path], reference: Path) -> None:
    first, second = ScriptedDevice(serial="S1"), ScriptedDevice(serial="S2")
    seen = Seen(pool_of(first, second), models, reference)
    seen.check_truth(models)
    assert set(seen.by.values()) == {"S1", "S2"} and seen.news == []
    for index, result in seen.results.items():
        assert isinstance(result, Latency) and seen.by[index] in result.fingerprint
    sessions = Counter(first.ran + second.ran)
    assert {sessions[model.stem] for model in models} == {PHONE.sessions}


def test_batches_are_no_larger_than_the_reference_allows(models: list[Path], reference: Path) -> None:
    device = ScriptedDevice()
    Seen(pool_of(device), models, reference)
    batches = "".join("r" if name == "reference" else "." for name in device.ran).split("r")
    assert max(len(batch) for batch in batches) == 4  # 12 in 3 batches


def test_one_device_and_no_models() -> None:
    assert Seen(pool_of(ScriptedDevice()), []).results == {}


# --- going away


def test_the_work_of_one_that_leaves_goes_to_its_twin(models: list[Path], reference: Path) -> None:
    first, second = ScriptedDevice(serial="S1"), ScriptedDevice(serial="S2")
    first.gone = lambda: len(first.ran) >= 7
    seen = Seen(pool_of(first, second), models, reference)
    seen.check_truth(models)
    assert seen.news == [("device_lost", "S1")] and set(seen.by.values()) == {"S2"}


def test_one_that_comes_back_works_again(models: list[Path], reference: Path) -> None:
    first, second = ScriptedDevice(serial="S1"), ScriptedDevice(serial="S2")
    first.lost_at = 3
    seen = Seen(pool_of(first, second), models, reference)
    seen.check_truth(models)
    assert seen.news[0] == ("device_lost", "S1")
    assert ("device_set_aside", "S1") not in seen.news


def test_with_none_left_it_pauses_and_goes_on(models: list[Path], reference: Path) -> None:
    device = ScriptedDevice()
    back = threading.Event()
    device.gone = lambda: len(device.ran) >= 5 and not back.is_set()
    pool = pool_of(device)
    kinds: list[str] = []
    results: set[int] = set()
    for item in pool.measure(models, reference):
        if isinstance(item, Measured):
            results.add(item.index)
            continue
        kinds.append(item.kind)
        if item.kind == "measuring_paused":
            assert "waiting for S1" in item.reason
            back.set()
    assert kinds == ["device_lost", "measuring_paused", "device_back", "measuring_resumed"]
    assert results == set(range(12))


def test_a_loose_contact_does_not_keep_a_batch_from_ending(models: list[Path]) -> None:
    """The device leaves every 8 sessions, a batch of 4 models takes 12: only smaller batches can end."""
    device = ScriptedDevice()
    left_at: set[int] = set()

    def gone() -> bool:
        number = len(device.ran)
        if number and number % 8 == 0 and number not in left_at:
            left_at.add(number)
            return True
        return False

    device.gone = gone
    seen = Seen(pool_of(device), models)
    seen.check_truth(models)
    assert len(left_at) > 4 and ("device_set_aside", "S1") not in seen.news


def test_a_cable_that_is_no_use_is_named(models: list[Path]) -> None:
    """It comes back each time and leaves in its first session: two good twins do the work."""
    bad, good = ScriptedDevice(serial="S1"), ScriptedDevice(serial="S2")
    looks = iter(range(10**9))
    bad.gone = lambda: next(looks) % 2 == 0  # away when it shall run, there when it is looked for

    def slowly(time_s: float, session: int) -> float:
        time.sleep(0.05)
        return 1.0

    good.slowdown = slowly
    seen = Seen(pool_of(bad, good), models)
    seen.check_truth(models)
    assert seen.news[-1] == ("device_set_aside", "S1")
    assert seen.reasons[-1] == "went away 5 times in a row: scripted: the cable is out"


def test_leaving_while_it_is_paused_ends_at_once(models: list[Path]) -> None:
    device = ScriptedDevice()
    device.gone = lambda: True
    pool = pool_of(device)
    items = pool.measure(models)
    for item in items:
        if isinstance(item, News) and item.kind == "measuring_paused":
            break
    began = time.monotonic()
    items.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 2 and threading.active_count() < 5
    device.gone = lambda: False
    Seen(pool, models).check_truth(models)


def test_a_stop_from_elsewhere_ends_a_pause(models: list[Path]) -> None:
    device = ScriptedDevice()
    device.gone = lambda: True
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    kinds = [item.kind for item in pool_of(device).measure(models, stop=stop) if isinstance(item, News)]
    assert kinds == ["device_lost", "measuring_paused"]


# --- lying


def test_what_one_cannot_measure_its_twin_does(models: list[Path], reference: Path) -> None:
    """One model is unstable on S1 alone; S1 is no liar, for it measures others well."""
    first, second = ScriptedDevice(serial="S1"), ScriptedDevice(serial="S2")
    odd = iter([1.0, 1.2, 1.5, 1.9] * 100)
    first.slowdown = lambda time_s, session: next(odd) if first.ran[-1] == "m0" else 1.0
    seen = Seen(pool_of(first, second), models, reference)
    seen.check_truth(models)
    assert seen.news == []


def test_a_liar_is_set_aside_and_named_and_not_believed(models: list[Path], reference: Path) -> None:
    liar, good = (
        ScriptedDevice(lambda time_s, session: 1.07 ** (session % 40), serial="S1"),
        ScriptedDevice(serial="S2"),
    )
    seen = Seen(pool_of(liar, good), models, reference)
    seen.check_truth(models)
    assert set(seen.by.values()) == {"S2"}


def test_the_last_one_to_lie_ends_it(models: list[Path], reference: Path) -> None:
    pool = pool_of(ScriptedDevice(lambda time_s, session: 1.07 ** (session % 40)))
    with pytest.raises(NoDeviceError, match=r"no device is left .* as phone: S1 unstable 3 times in a row") as e:
        Seen(pool, models, reference)
    assert "\n" not in str(e.value)
    with pytest.raises(NoDeviceError):
        Seen(pool, models, reference)


def test_a_shared_machine_stays_however_busy_it_is(models: list[Path], reference: Path) -> None:
    device = ScriptedDevice(lambda time_s, session: 1.07 ** (session % 40))
    shared = PROFILE.model_copy(update={"measuring": PHONE.model_copy(update={"shared": True})})
    seen = Seen(pool_of(device, profile=shared), models, reference)
    assert seen.news == []
    assert all(isinstance(one, Latency) and one.verdict == "unstable" for one in seen.results.values())


def test_a_model_that_is_never_stable_is_told_so_and_the_device_stays(models: list[Path], reference: Path) -> None:
    device = ScriptedDevice()
    odd = iter([1.0, 1.2, 1.5, 1.9] * 100)
    device.slowdown = lambda time_s, session: next(odd) if device.ran[-1] == "m0" else 1.0
    for wanted in (models, models[:1]):  # among others, and alone
        seen = Seen(pool_of(device), wanted, reference)
        assert isinstance(seen.results[0], Latency) and seen.results[0].verdict == "unstable"
        assert seen.news == []
        assert device.ran.count("m0") == 3 * (PHONE.sessions + PHONE.retries)
        device.ran.clear()


def test_a_phone_that_stays_slower_is_not_believed_ever(models: list[Path], reference: Path) -> None:
    """6 % slower for good after the first batch: its reference says so, batch after batch."""
    device, twin = ScriptedDevice(serial="S1"), ScriptedDevice(serial="S2")
    pool = pool_of(device)
    Seen(pool, models[:3], reference).check_truth(models)
    device.slowdown = lambda time_s, session: 1.06
    with pytest.raises(NoDeviceError, match=r"the reference model was 6\.0% slower than before"):
        Seen(pool, models, reference)
    pool = pool_of(device, twin)
    pool.members[0].normal_ms = 4.0
    Seen(pool, models, reference).check_truth(models)


def test_a_shared_machine_that_becomes_slower_gives_the_same_times(models: list[Path], reference: Path) -> None:
    shared = {"shared": True, "reference_every": 1, "max_drift": 2.0, "discard_drift": 9.0}
    device = ScriptedDevice()
    pool = pool_of(device, profile=PROFILE.model_copy(update={"measuring": PHONE.model_copy(update=shared)}))
    Seen(pool, models[:3], reference).check_truth(models)
    device.slowdown = lambda time_s, session: 1.4
    seen = Seen(pool, models, reference)
    seen.check_truth(models)
    assert seen.news == []


# --- failing


def test_one_that_fails_is_set_aside_with_its_reason(models: list[Path], reference: Path) -> None:
    class Full(ScriptedDevice):
        def run(self, model, **options):  # type: ignore[no-untyped-def]
            raise DeviceError("S1: no space left on the phone: free 12 MB")

    seen = Seen(pool_of(Full(serial="S1"), ScriptedDevice(serial="S2")), models, reference)
    seen.check_truth(models)
    assert seen.news == [("device_set_aside", "S1")] and "free 12 MB" in seen.reasons[0]


def test_a_model_that_crashes_fails_alone(models: list[Path], reference: Path) -> None:
    device = ScriptedDevice()
    device.crashes = {"m3": 2}
    seen = Seen(pool_of(device), models, reference)
    failed = [index for index, result in seen.results.items() if isinstance(result, ModelError)]
    assert failed == [3] and seen.news == []


def test_a_bug_is_not_taken_for_a_device(models: list[Path]) -> None:
    device = ScriptedDevice(lambda time_s, session: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Seen(pool_of(device), models)


def test_an_error_that_happens_once_costs_a_batch_and_not_the_device(models: list[Path], reference: Path) -> None:
    """Now and then the program says nonsense, and works again the next time."""
    device = ScriptedDevice()
    looks = iter(range(10**9))

    def gone() -> bool:
        if next(looks) % 20 == 7:
            raise DeviceError("it ignored --num_threads")
        return False

    device.gone = gone
    seen = Seen(pool_of(device), models, reference)
    seen.check_truth(models)
    assert seen.news == [] and next(looks) > 20
