"""What is particular to one searcher."""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mnascli.data import load as load_data
from mnascli.engine.config import resolve
from mnascli.search import Result, create_searcher
from mnascli.search.ppo import Controller, Ppo
from mnascli.search.random_search import permute
from mnascli.search.reinforce import Reinforce
from mnascli.space import Space, make_space, network_id

SPACE = make_space({"blocks": [{"filters": 16, "layers": 2}] * 2, "input": {"size": 16}, "classes": 4}, "test")
TINY = make_space(
    {"choices": {"skip": ["none", "pool"], "filters": [1.0]}, "blocks": [{"filters": 16, "layers": 2}]}, "test"
)
EVERY = [TINY.decode(taken) for taken in itertools.product(*(range(len(one.choices)) for one in TINY.decisions))]


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


# random


@given(st.integers(1, 150), st.text(max_size=3))
def test_permute_meets_every_number_once(size: int, key: str) -> None:
    assert {permute(number, size, key) for number in range(size)} == set(range(size))


def test_permute_covers_the_papers_space() -> None:
    size = 432**7
    numbers = [permute(number, size, "key") for number in range(1000)]
    assert len(set(numbers)) == 1000
    assert all(0 <= number < size for number in numbers)
    assert 0.45 < sum(numbers) / 1000 / size < 0.55


def test_random_repeats_no_network_before_the_space_is_exhausted_and_then_goes_round_in_another_order() -> None:
    networks = {network_id(architecture) for architecture in EVERY}
    assert len(networks) < len(EVERY) == TINY.size
    searcher = create_searcher("random", TINY)
    first, second = ([network_id(one) for one in searcher.ask(len(networks))] for _ in range(2))
    assert len(set(first)) == len(networks)
    assert set(second) == set(first)
    assert second != first


def test_random_draws_every_choice_about_equally_often() -> None:
    drawn = [SPACE.encode(architecture) for architecture in create_searcher("random", SPACE, 5).ask(3000)]
    for position, decision in enumerate(SPACE.decisions):
        count = len(decision.choices)
        taken = [sum(indices[position] == choice for indices in drawn) for choice in range(count)]
        assert all(abs(number - 3000 / count) < 130 for number in taken)  # about five standard deviations


# evolution


def test_evolutions_children_differ_from_a_living_parent_in_one_decision() -> None:
    searcher, rng = create_searcher("evolution", SPACE, population=10, sample=3), random.Random(0)
    told = []
    for number in range(40):
        child = SPACE.encode(searcher.ask(1)[0])
        if number >= 10:
            alive = told[-10:]
            assert any(sum(a != b for a, b in zip(child, parent, strict=True)) == 1 for parent in alive)
            assert child not in alive
        told.append(child)
        searcher.tell([Result(SPACE.decode(child), rng.random())])


def test_evolution_forgets_even_the_best_when_it_is_old() -> None:
    searcher, rng = create_searcher("evolution", SPACE, population=5, sample=5), random.Random(0)
    best = SPACE.decode([0] * len(SPACE.decisions))
    searcher.ask(5)
    searcher.tell([Result(best, 1.0), *(Result(SPACE.sample(rng), 0.1) for _ in range(4))])

    def distance() -> int:
        return sum(index != 0 for index in SPACE.encode(searcher.ask(1)[0]))

    assert distance() == 1
    searcher.tell([Result(SPACE.sample(rng), 0.2) for _ in range(5)])
    assert distance() > 1


# reinforce


def test_reinforce_takes_the_steps_of_adam_up_the_policy_gradient() -> None:
    searcher = create_searcher("reinforce", SPACE, learning_rate=0.1, entropy=0.01, baseline=0.9)
    assert isinstance(searcher, Reinforce)
    counts = [len(decision.choices) for decision in SPACE.decisions]
    logits = [torch.zeros(count, dtype=torch.float64, requires_grad=True) for count in counts]
    adam = torch.optim.Adam(logits, lr=0.1, betas=(0.0, 0.999))
    rng, baseline = random.Random(0), None
    for _ in range(20):
        architecture, reward = SPACE.sample(rng), rng.random()
        searcher.tell([Result(architecture, reward)])
        baseline = reward if baseline is None else baseline
        log_p = [row.log_softmax(0) for row in logits]
        taken = sum(row[index] for row, index in zip(log_p, SPACE.encode(architecture), strict=True))
        entropy = -sum((row.exp() * row).sum() for row in log_p)
        adam.zero_grad()
        (-(reward - baseline) * taken - 0.01 * entropy).backward()
        adam.step()
        baseline = 0.9 * baseline + 0.1 * reward
    for row, expected in zip(searcher.probabilities().values(), logits, strict=True):
        assert row == pytest.approx(expected.softmax(0).tolist(), abs=1e-9)


def test_reinforce_learns_with_its_defaults_in_the_steps_that_a_supernet_leaves_it() -> None:
    """Candidates that differ by 3 points (standard deviation) are judged on 32 pictures each: a noise of 9 points."""
    config = resolve("quick-supernet", None, {"supernet": {"sampling": "reward"}})
    settings, space = config.supernet, make_space(config.space.model_dump(), "quick")
    pictures = len(load_data(config.data or "", size=28).train.labels)
    steps = round((1 - settings.warmup) * settings.recipe.epochs * (pictures // settings.recipe.batch_size))
    rng = random.Random(0)
    effects = [[rng.gauss(0, 1) for _ in decision.choices] for decision in space.decisions]
    scale = 0.03 / sum(statistics.pvariance(of_decision) for of_decision in effects) ** 0.5
    policy = create_searcher("reinforce", space, 0, **settings.policy)

    def of_the_best() -> float:
        """The mean probability of the best choice."""
        chosen = zip(policy.probabilities().values(), effects, strict=True)
        return statistics.fmean(p[values.index(max(values))] for p, values in chosen)

    by_chance = of_the_best()
    for _ in range(steps):
        (candidate,) = policy.ask(1)
        accuracy = 0.6 + scale * sum(
            values[choice] for values, choice in zip(effects, space.encode(candidate), strict=True)
        )
        right = sum(rng.random() < accuracy for _ in range(32)) / 32
        policy.tell([Result(candidate, right)])
    assert 2500 < steps < 3500
    assert by_chance < 0.45
    assert of_the_best() > 0.7


# ppo


def ppo(space: Space = SPACE, **options: float) -> Ppo:
    searcher = create_searcher("ppo", space, 0, **options)
    assert isinstance(searcher, Ppo)
    return searcher


def log_p(searcher: Ppo, indices: tuple[int, ...]) -> float:
    return sum(searcher._log_p_now(indices))


def test_ppo_has_the_papers_numbers() -> None:
    options = ppo().options
    assert (options.hidden, options.init, options.learning_rate, options.entropy) == (100, 0.1, 0.00035, 0.00001)
    assert (options.baseline, options.batch_size, options.clip) == (0.95, 20, 0.2)


def test_the_controllers_probabilities_sum_to_one_over_the_space() -> None:
    searcher = ppo(TINY, init=1.0)
    every = torch.tensor([TINY.encode(architecture) for architecture in EVERY])
    log_choices = searcher._controller.log_p(every).gather(2, every[..., None])[..., 0].detach()
    assert float(log_choices.sum(dim=1).exp().sum()) == pytest.approx(1)


def test_the_controller_samples_with_the_probabilities_that_it_learns_from() -> None:
    searcher = ppo(TINY, init=1.0)
    generator = torch.Generator().manual_seed(0)
    choices, sampled = searcher._controller.sample(4000, generator)
    again = searcher._controller.log_p(choices).gather(2, choices[..., None])[..., 0]
    assert torch.allclose(sampled, again)
    drawn = [tuple(row) for row in choices.tolist()]
    likely = max(set(drawn), key=drawn.count)
    p = float(sampled[drawn.index(likely)].sum().exp())
    assert abs(drawn.count(likely) / 4000 - p) < 5 * (p * (1 - p) / 4000) ** 0.5


def test_ppo_learns_when_a_batch_is_full_and_not_before() -> None:
    searcher = ppo(batch_size=4, learning_rate=0.01)
    proposals = searcher.ask(4)
    best = SPACE.encode(proposals[0])
    before = log_p(searcher, best)
    searcher.tell([Result(architecture, float(number == 0)) for number, architecture in enumerate(proposals[:3])])
    assert log_p(searcher, best) == before
    searcher.tell([Result(proposals[3], 0.0)])
    assert log_p(searcher, best) > before


def test_the_clip_holds_probabilities_near_those_that_sampled() -> None:
    ratios = {}
    for clip in (0.05, 10.0):
        searcher = ppo(batch_size=4, learning_rate=0.01, epochs=40, clip=clip)
        proposals = searcher.ask(4)
        best = SPACE.encode(proposals[0])
        before = log_p(searcher, best)
        searcher.tell([Result(architecture, float(number == 0)) for number, architecture in enumerate(proposals)])
        ratios[clip] = log_p(searcher, best) - before
    assert 0 < ratios[0.05] < 0.5 * ratios[10.0]


def test_with_normalize_a_failure_does_not_drown_the_other_results() -> None:
    rewards = [0.80, 0.82, 0.78, 0.81, 0.79, 0.0]
    first, second, *_, failed = ppo(normalize=True)._advantages(rewards).tolist()
    assert second - first >= 1
    assert failed == -3
    plain = ppo()._advantages(rewards)
    assert float(plain.abs().max()) > 10 * float(plain.abs().median())


def test_advantages_are_measured_from_the_moving_average() -> None:
    searcher = ppo(baseline=0.5)
    assert searcher._advantages([1.0, 3.0]).tolist() == [-1, 1]  # around the median 2, then 2 -> 1.5 -> 2.25
    assert searcher._advantages([2.25, 3.25]).tolist() == [0, 1]


def proposals_after_learning() -> list[tuple[int, ...]]:
    searcher = ppo(batch_size=8, learning_rate=0.01)
    for _ in range(6):
        batch = searcher.ask(8)
        searcher.tell([Result(a, sum(SPACE.encode(a)) / 20) for a in batch])
    return [SPACE.encode(architecture) for architecture in searcher.ask(20)]


def test_the_controller_computes_on_one_thread_and_leaves_their_number(
    two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    for method in ("sample", "log_p"):
        original = getattr(Controller, method)

        def watched(*args: Any, original: Any = original) -> Any:
            threads.append(torch.get_num_threads())
            return original(*args)

        monkeypatch.setattr(Controller, method, watched)
    searcher = ppo(batch_size=4)
    searcher.tell([Result(architecture, 0.5) for architecture in [*searcher.ask(4), SPACE.sample(random.Random(0))]])
    searcher.probabilities()
    assert len(threads) == 1 + searcher.options.epochs + 1 + 2
    assert set(threads) == {1}
    assert torch.get_num_threads() == 2
    monkeypatch.setattr(Controller, "sample", None)
    with pytest.raises(TypeError):
        searcher.ask(1)
    assert torch.get_num_threads() == 2


def test_ppos_proposals_do_not_depend_on_the_threads(two_threads: None) -> None:
    on_two = proposals_after_learning()
    torch.set_num_threads(1)
    assert proposals_after_learning() == on_two
