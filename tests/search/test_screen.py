"""The linear model that screens children: it finds what matters, and no failure or scale upsets it."""

import random
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnascli.search import Result, create_searcher
from mnascli.search.screen import WINDOW, Screen, normal_scores
from mnascli.space import load_space

SPACE = load_space("quick")
GUIDED = {"founders": 15, "population": 30, "sample": 10, "children": 200, "crossover": 0.3, "blocks": 0.3}


def value_of(indices: tuple[int, ...]) -> float:
    """Every decision's first choice is worth 1."""
    return float(sum(index == 0 for index in indices))


def taught(rewards: dict[tuple[int, ...], float]) -> Screen:
    screen = Screen(SPACE, 0.5)
    for indices, reward in rewards.items():
        screen.learn(indices, reward)
    return screen


def samples(count: int) -> list[tuple[int, ...]]:
    rng = random.Random(1)
    return [SPACE.encode(SPACE.sample(rng)) for _ in range(count)]


def test_it_values_what_it_has_not_seen() -> None:
    screen = taught({indices: value_of(indices) for indices in samples(200)})
    unseen = samples(300)[200:]
    weights = np.mean([screen.draw(random.Random(seed)) for seed in range(10)], axis=0)
    assert np.corrcoef(screen.value(weights, unseen), [value_of(one) for one in unseen])[0, 1] > 0.8


def test_draws_differ_less_the_more_is_known() -> None:
    spreads = []
    for count in (10, 1000):
        screen = taught({indices: value_of(indices) for indices in samples(count)})
        spreads.append(np.std([screen.draw(random.Random(seed)) for seed in range(20)], axis=0).mean())
    assert spreads[1] < 0.8 * spreads[0]


def test_only_the_order_of_rewards_counts_and_the_latest_are_kept() -> None:
    some = samples(WINDOW + 5)
    rewards = {indices: value_of(indices) for indices in some}
    failed = {indices: 1e9 * reward - 1e12 for indices, reward in rewards.items()}
    one, other = taught(rewards), taught(failed)
    assert len(one.results) == WINDOW
    assert (one.draw(random.Random(0)) == other.draw(random.Random(0))).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_normal_scores_keep_the_order(rewards: list[float]) -> None:
    scores = normal_scores(rewards)
    assert np.isfinite(scores).all()
    for one, score in zip(rewards, scores, strict=True):
        for other, other_score in zip(rewards, scores, strict=True):
            assert (one < other) == (score < other_score)


def test_guided_evolution_climbs_faster_than_plain_and_goes_on_from_its_state() -> None:
    def climb(seed: int, **options: object) -> float:
        searcher = create_searcher("evolution", SPACE, seed, **options)
        best = 0.0
        for step in range(20):
            if step == 10:
                state, searcher = searcher.state_dict(), create_searcher("evolution", SPACE, 99, **options)
                searcher.load_state_dict(state)
            asked = searcher.ask(5)
            values = [value_of(SPACE.encode(one)) for one in asked]
            searcher.tell([Result(*pair) for pair in zip(asked, values, strict=True)])
            best = max(best, *values)
        return best

    guided, plain = (
        statistics.mean(climb(seed, **options) for seed in range(4)) for options in (GUIDED, {"population": 30})
    )
    assert guided > plain + 2, (guided, plain)


def test_space_aware_children_are_of_the_space() -> None:
    searcher = create_searcher("evolution", SPACE, 3, **{**GUIDED, "children": 1, "crossover": 1.0, "blocks": 1.0})
    for _ in range(15):
        asked = searcher.ask(4)
        searcher.tell([Result(one, value_of(SPACE.encode(one))) for one in asked])
        assert all(len(SPACE.encode(one)) == len(SPACE.decisions) for one in asked)


@pytest.mark.parametrize("options", [{"children": 0}, {"crossover": 1.1}, {"blocks": -0.1}, {"founders": 0}])
def test_options_are_checked(options: dict[str, float]) -> None:
    with pytest.raises(Exception, match=next(iter(options))):
        create_searcher("evolution", SPACE, 0, **options)
