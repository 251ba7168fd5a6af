import numpy as np

from mnascli.data import cache
from mnascli.data.dataset import PARTS


def parts(value):
    images = np.full((2, 4, 4, 1), value, np.uint8)
    return [[(images, np.array([0, 1]))] for _ in PARTS]


def test_the_first_of_two_writers_wins_and_both_can_read(own_home):
    place = cache.entry(["some", "key"])
    assert cache.read(place) is None
    assert own_home in place.parents
    first = cache.write(place, "data", ["a", "b"], 4, 1, [], parts(10))
    second = cache.write(place, "data", ["a", "b"], 4, 1, [], parts(20))
    assert first.train.images.max() == second.train.images.max() == 10
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_a_key_is_its_values(own_home):
    assert cache.entry(["a", 1]) == cache.entry(["a", 1])
    assert len({cache.entry(key) for key in (["a", 1], ["a", 2], ["b", 1], ["a", "1"])}) == 4


def test_preparing_tells_how_far_it_is(own_home, monkeypatch):
    monkeypatch.setattr(cache, "REPORT_EVERY_S", -1.0)
    said = []
    cache.write(cache.entry(["told"]), "data", ["a", "b"], 4, 1, [], parts(10), report=said.append)
    assert said == [f"data: {2 * n} images prepared" for n in range(1, len(PARTS) + 1)]
