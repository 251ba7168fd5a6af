"""What every searcher must do; a new one in SEARCHERS inherits these tests."""

from __future__ import annotations

import io
import itertools
import random
import subprocess
import sys
from typing import Any

import pytest
import torch

from mnascli.errors import MnasError, UsageError
from mnascli.search import SEARCHERS, Result, Searcher, create_searcher, seen
from mnascli.search.searcher import searcher_class
from mnascli.space import Architecture, Space, load_space, make_space, network_id

# Values that make a searcher learn within the few trials of a test; for those that are not here, the defaults do.
QUICK: dict[str, dict[str, Any]] = {
    "ppo": {"hidden": 20, "batch_size": 8, "learning_rate": 0.02},
    "reinforce": {"learning_rate": 0.1},
    "evolution": {"population": 12, "sample": 6},
}


def space_of(blocks: int, **choices: list[Any]) -> Space:
    skeleton = [{"filters": 16, "layers": 1}] * blocks
    return make_space({"choices": choices, "blocks": skeleton, "input": {"size": 16}, "classes": 4}, "test")


SPACE = space_of(3, layers=[0, 1])
ONE = {"operator": ["sep"], "kernel": [3], "se": [0], "skip": ["none"], "filters": [1.0], "layers": [0]}


def reward_of(architecture: Architecture) -> float:
    """A reward that is easy to climb: the part of the decisions that take their first choice."""
    indices = SPACE.encode(architecture)
    return sum(index == 0 for index in indices) / len(indices)


def results(architectures: list[Architecture]) -> list[Result]:
    return [Result(architecture, reward_of(architecture), 0.5, 10.0) for architecture in architectures]


def run(searcher: Searcher, batches: int, batch: int = 5) -> list[list[Architecture]]:
    proposals = []
    for _ in range(batches):
        proposals.append(searcher.ask(batch))
        searcher.tell(results(proposals[-1]))
    return proposals


def saved(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


@pytest.mark.parametrize("name", SEARCHERS)
class TestEverySearcher:
    def make(self, name: str, seed: int = 0, space: Space = SPACE) -> Searcher:
        return create_searcher(name, space, seed, **QUICK.get(name, {}))

    def test_it_goes_by_its_name_and_explains_its_options(self, name: str) -> None:
        found = searcher_class(name)
        assert found.name == name
        assert all(field.description for field in found.Options.model_fields.values())

    def test_it_proposes_as_many_of_the_space_as_asked_for(self, name: str) -> None:
        searcher = self.make(name)
        for count in (0, 1, 7):
            proposals = searcher.ask(count)
            assert len(proposals) == count
            assert all(SPACE.decode(SPACE.encode(architecture)) == architecture for architecture in proposals)

    def test_its_seed_decides(self, name: str) -> None:
        assert run(self.make(name, 3), 6) == run(self.make(name, 3), 6)
        assert run(self.make(name, 3), 1) != run(self.make(name, 4), 1)

    def test_it_neither_uses_nor_moves_the_global_generators(self, name: str) -> None:
        random.seed(1)
        torch.manual_seed(1)
        before = random.getstate(), torch.get_rng_state()
        once = run(self.make(name), 6)
        assert random.getstate() == before[0]
        assert torch.equal(torch.get_rng_state(), before[1])
        random.seed(2)
        torch.manual_seed(2)
        assert run(self.make(name), 6) == once

    def test_killed_after_any_ask_it_goes_on_as_if_nothing_had_happened(self, name: str) -> None:
        uninterrupted = run(self.make(name), 10)
        searcher = self.make(name)
        for told, proposals in enumerate(uninterrupted[:-1], start=1):
            assert searcher.ask(5) == proposals
            state = saved(searcher.state_dict())
            searcher = self.make(name, seed=99)  # the state holds the randomness too
            searcher.load_state_dict(state)
            searcher.tell(results(proposals))
            resumed = self.make(name)
            resumed.load_state_dict(searcher.state_dict())
            assert resumed.ask(5) == uninterrupted[told]

    def test_a_state_shares_nothing_with_searchers(self, name: str) -> None:
        searcher = self.make(name)
        run(searcher, 5)
        state = searcher.state_dict()
        went_on = run(searcher, 5)
        for _ in range(2):
            other = self.make(name)
            other.load_state_dict(state)
            assert run(other, 5) == went_on

    def test_only_the_order_of_results_counts_not_their_grouping(self, name: str) -> None:
        at_once, singly = self.make(name), self.make(name)
        proposals = at_once.ask(30)
        assert singly.ask(30) == proposals
        at_once.tell(results(proposals))
        for result in results(proposals):
            singly.tell([result])
        assert at_once.ask(10) == singly.ask(10)

    def test_it_takes_results_that_it_never_asked_for(self, name: str) -> None:
        searcher, rng = self.make(name), random.Random(0)
        searcher.tell(results([SPACE.sample(rng) for _ in range(25)]))
        assert len(searcher.ask(5)) == 5

    def test_it_survives_a_run_of_failures(self, name: str) -> None:
        searcher = self.make(name)
        for reward in (0.0, 0.0, 0.7, -1.0, 0.7):
            searcher.tell([Result(architecture, reward) for architecture in searcher.ask(10)])
        later = {SPACE.encode(architecture) for architecture in searcher.ask(20)}
        assert len(later) > 5  # equal rewards, a failure among them, are no reason to settle

    def test_a_space_of_one_architecture_is_proposed_over_and_over(self, name: str) -> None:
        space = space_of(1, **ONE)
        searcher = self.make(name, space=space)
        for _ in range(3):
            proposals = searcher.ask(10)
            assert proposals == [space.decode([0] * 6)] * 10
            searcher.tell([Result(architecture, 0.5) for architecture in proposals])

    def test_its_state_does_not_grow_with_the_trials(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(seen, "REMEMBERED", 50)
        searcher = self.make(name)
        run(searcher, 4, 20)
        early = len(str(searcher.state_dict()))
        run(searcher, 8, 20)
        assert len(str(searcher.state_dict())) < 1.05 * early

    def test_one_network_under_many_names_is_proposed_over_and_over(self, name: str) -> None:
        """Ten million ways to decide that all mean the same: no search for another one may take long."""
        blocks = [{"filters": 16, "layers": 1, "choices": {"layers": [-1]}}] * 6
        choices = {**ONE, "operator": ["sep", "mbconv1", "conv", "mbconv3"], "kernel": [3, 5, 7, 9, 11]}
        space = make_space({"choices": choices, "blocks": blocks, "input": {"size": 16}, "classes": 4}, "test")
        assert space.size > 10**7
        searcher = self.make(name, space=space)
        for _ in range(4):
            proposals = searcher.ask(5)
            assert len({network_id(architecture) for architecture in proposals}) == 1
            searcher.tell([Result(architecture, 0.5) for architecture in proposals])

    def test_a_state_of_another_space_searcher_or_option_is_refused(self, name: str) -> None:
        state = self.make(name).state_dict()
        with pytest.raises(MnasError, match="the saved searcher has space"):
            self.make(name, space=space_of(2)).load_state_dict(state)
        with pytest.raises(MnasError, match="the saved searcher has searcher"):
            self.make(next(other for other in SEARCHERS if other != name)).load_state_dict(state)
        with pytest.raises(MnasError, match="the saved searcher has options"):
            self.make(name).load_state_dict({**state, "options": {"old": 1}})

    def test_an_unknown_option_is_refused_with_what_there_is(self, name: str) -> None:
        with pytest.raises(UsageError, match=f"options of searcher {name}: colour: unknown key") as caught:
            create_searcher(name, SPACE, colour=3)
        assert all(known in str(caught.value) for known in searcher_class(name).Options.model_fields)

    def test_an_architecture_of_another_space_is_refused(self, name: str) -> None:
        stranger = space_of(2).sample(random.Random(0))
        with pytest.raises(UsageError, match="not in this space"):
            self.make(name).tell([Result(stranger, 0.5)])


@pytest.mark.parametrize("options", [{}, {"children": 10}, {"crossover": 0.5, "blocks": 0.5}], ids=str)
@pytest.mark.parametrize("name", ["random", "evolution"])
def test_no_network_is_proposed_twice_while_there_are_others(name: str, options: dict[str, Any]) -> None:
    """Of a reward that has one peak, around which all is soon known; PPO and REINFORCE sample their policy instead."""
    options = {"population": 12, "sample": 6, **options} if name == "evolution" else {}
    searcher = create_searcher(name, SPACE, 0, **options)
    proposed: list[str] = []
    for _ in range(60):
        batch = searcher.ask(5)
        proposed += map(network_id, batch)
        searcher.tell(results(batch))
        other = create_searcher(name, SPACE, 1, **options)
        other.load_state_dict(saved(searcher.state_dict()))
        searcher = other  # it remembers across a resume
    assert len(set(proposed)) == len(proposed)


@pytest.mark.parametrize("name", ["random", "evolution"])
def test_all_networks_of_a_small_space_are_proposed_and_then_some_again(name: str) -> None:
    choices = {**ONE, "operator": ["sep", "conv", "mbconv3", "mbconv6"], "kernel": [3, 5], "skip": ["none", "identity"]}
    space = space_of(1, **choices)  # of one layer, from 32 channels to others: nothing to skip to
    searcher = create_searcher(name, space, 0, **QUICK.get(name, {}))
    proposed = []
    for _ in range(10):
        batch = searcher.ask(4)
        proposed += map(network_id, batch)
        searcher.tell([Result(architecture, 0.5) for architecture in batch])
    assert len(set(proposed)) == 8 < space.size
    assert len(set(proposed[:8])) == 8


@pytest.mark.parametrize("name", [name for name in SEARCHERS if name != "random"])
def test_it_learns(name: str) -> None:
    proposals = [a for batch in run(create_searcher(name, SPACE, 0, **QUICK[name]), 60) for a in batch]
    rewards = [reward_of(architecture) for architecture in proposals]
    by_chance = sum(1 / len(decision.choices) for decision in SPACE.decisions) / len(SPACE.decisions)
    assert sum(rewards[-40:]) / 40 > by_chance + 0.3


def test_an_unknown_searcher_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="no searcher called 'genetic': available: ppo, reinforce, evolution, random"):
        create_searcher("genetic", SPACE)


def test_options_of_a_wrong_type_or_range_are_refused() -> None:
    with pytest.raises(UsageError, match=r"options of searcher ppo: epochs: .*greater than or equal to 1"):
        create_searcher("ppo", SPACE, epochs=0)
    with pytest.raises(UsageError, match="options of searcher evolution: population: "):
        create_searcher("evolution", SPACE, population="many")


def test_only_making_ppo_imports_torch() -> None:
    code = (
        "import sys, mnascli.search as s; from mnascli.space import load_space; space = load_space('mnasnet');"
        "[s.create_searcher(n, space) for n in ('random', 'evolution', 'reinforce')]; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", SEARCHERS)
def test_probabilities_are_of_the_spaces_choices_and_asking_for_them_changes_nothing(name: str) -> None:
    asked, other = (create_searcher(name, SPACE, seed=4, **QUICK.get(name, {})) for _ in range(2))
    for _ in range(4):
        proposals = asked.ask(6)
        assert proposals == other.ask(6)
        asked.tell(results(proposals))
        other.tell(results(proposals))
        probabilities = asked.probabilities()
        assert probabilities.keys() <= {decision.tag for decision in SPACE.decisions}
        for decision in SPACE.decisions if probabilities else ():
            assert len(probabilities[decision.tag]) == len(decision.choices)
            assert sum(probabilities[decision.tag]) == pytest.approx(1)


@pytest.mark.parametrize("name", sorted(set(SEARCHERS) - {"random"}))
def test_what_is_rewarded_becomes_likelier(name: str) -> None:
    """Every decision's first choice is rewarded: on average it must be drawn more often than an even draw would."""
    searcher = create_searcher(name, SPACE, seed=4, **QUICK.get(name, {}))
    run(searcher, 40)
    probabilities = searcher.probabilities()
    first = [probabilities[decision.tag][0] for decision in SPACE.decisions]
    even = [1 / len(decision.choices) for decision in SPACE.decisions]
    assert sum(first) > 1.2 * sum(even)


def test_a_state_of_an_older_version_lacks_options_that_are_new() -> None:
    """They are then at their defaults, and only then it fits."""
    space = load_space("quick")
    searcher = create_searcher("evolution", space, 0)
    searcher.ask(3)
    state = searcher.state_dict()
    del state["options"]["leaning"]
    again = create_searcher("evolution", space, 0)
    again.load_state_dict(state)
    assert again.ask(2) == searcher.ask(2)
    with pytest.raises(MnasError, match="resume with the configuration"):
        create_searcher("evolution", space, 0, leaning=0.5).load_state_dict(state)


def test_founders_that_lean_have_blocks_alike() -> None:
    """Of two blocks that may choose among four operators, uniform ones agree in a quarter of the cases."""
    space = load_space("mnasnet")

    def agreement(**options: float) -> float:
        nets = create_searcher("evolution", space, 1, founders=60, **options).ask(60)
        pairs = [(a, b) for net in nets for a, b in itertools.pairwise(net.blocks)]
        return sum((a.operator, a.expansion) == (b.operator, b.expansion) for a, b in pairs) / len(pairs)

    assert agreement() < 0.35 and agreement(leaning=1.0) > 0.5
