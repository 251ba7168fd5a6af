"""Which children run at once, on which cores and GPUs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnascli.engine.children import factory, local
from mnascli.engine.children.places import Place, places_of, visible_gpus
from mnascli.engine.config import resolve
from mnascli.errors import UsageError


def test_without_gpus_each_place_has_its_cores() -> None:
    assert places_of(range(5), threads=2) == (Place((0, 1)), Place((2, 3)))
    assert places_of([4, 7], most=1) == (Place((4,)),)
    assert places_of([4], threads=3) == (Place((4,)),)  # fewer cores than asked for: what there is


def test_gpus_share_the_cores() -> None:
    assert places_of(range(6), ("0", "1")) == (Place((0, 1, 2), "0"), Place((3, 4, 5), "1"))
    halves = places_of(range(4), ("0", "1"), per_gpu=2)
    assert [(place.cores, place.gpu) for place in halves] == [((0,), "0"), ((1,), "1"), ((2,), "0"), ((3,), "1")]
    assert [place.gpu for place in places_of(range(4), ("0", "1"), per_gpu=2, most=2)] == ["0", "1"]
    assert places_of([5], ("0", "1")) == (Place((5,), "0"), Place((5,), "1"))


@given(
    cores=st.lists(st.integers(0, 200), unique=True, min_size=1, max_size=100).map(sorted),
    gpus=st.integers(0, 16),
    threads=st.integers(1, 8),
    per_gpu=st.integers(1, 4),
    most=st.none() | st.integers(1, 99),
)
def test_places_are_as_asked_for(cores: list[int], gpus: int, threads: int, per_gpu: int, most: int | None) -> None:
    names = [str(n) for n in range(gpus)]
    found = places_of(cores, names, threads=threads, per_gpu=per_gpu, most=most)
    assert found and all(place.cores for place in found)
    assert most is None or len(found) <= most
    used = [core for place in found for core in place.cores]
    assert set(used) <= set(cores)
    if len(cores) >= len(found):
        assert len(used) == len(set(used))  # no core twice
    if gpus:
        each = [sum(place.gpu == name for place in found) for name in names]
        assert max(each) - min(each) <= 1 and max(each) <= per_gpu
        if len(cores) >= len(found):
            assert set(used) == set(cores)  # none is left idle


def test_gpus_are_named_as_this_process_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == ("0", "1") and visible_gpus(1) == ("0",) and visible_gpus(0) == ()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-8f")
    assert visible_gpus() == ("5", "GPU-8f")
    with pytest.raises(UsageError, match=r"gpus: 3: torch finds 2 here: lower it"):
        visible_gpus(3)


def test_the_configuration_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "usable_cores", lambda: list(range(8)))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    config = resolve("quick", None, {"per_gpu": 2, "batch": 6})
    assert len(factory.places(config)) == 8 and factory.at_once(config) == 6  # a batch has no more
    assert len(factory.places(resolve("quick", None, {"gpus": 0, "threads": 4}))) == 2
    with pytest.raises(UsageError, match="no executor called 'moon': the executors are local"):
        resolve("quick", None, {"executor": "moon"})
