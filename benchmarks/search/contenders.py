"""The searchers that benchmarks/search/searchers.py compares: ours, Optuna's TPE and NSGA-II, pymoo's NSGA-II.

Each is given the space, a seed, the objective, and a function that evaluates architectures; it returns its trials.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import optuna
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.operators.crossover.ux import UX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling

from mnascli.search import Objective, Result, create_searcher
from mnascli.space import Space

optuna.logging.set_verbosity(optuna.logging.ERROR)
AT_A_TIME = 4


class Seen(NamedTuple):
    """A trial: accuracy without noise, latency, and the accuracy that the searcher sees."""

    accuracy: float
    latency_ms: float
    seen: float


Evaluate = Callable[[list[tuple[int, ...]]], list[Seen]]  # architectures as `Space.encode` gives them
Contender = Callable[[Space, int, Objective, Evaluate, int], list[Seen]]


def ours(name: str, **options: Any) -> Contender:
    def run(space: Space, seed: int, objective: Objective, evaluate: Evaluate, trials: int) -> list[Seen]:
        searcher = create_searcher(name, space, seed, **options)
        found: list[Seen] = []
        while len(found) < trials:
            asked = searcher.ask(min(AT_A_TIME, trials - len(found)))
            some = evaluate([space.encode(one) for one in asked])
            rewards = [objective.reward(one.seen, one.latency_ms) for one in some]
            searcher.tell([Result(*pair) for pair in zip(asked, rewards, strict=True)])
            found += some
        return found

    return run


def of_optuna(make: Callable[[int], optuna.samplers.BaseSampler], both: bool) -> Contender:
    """`both`: accuracy and latency are two objectives; else the reward is the one."""

    def run(space: Space, seed: int, objective: Objective, evaluate: Evaluate, trials: int) -> list[Seen]:
        directions = ["maximize", "minimize"] if both else ["maximize"]
        study = optuna.create_study(sampler=make(seed), directions=directions)
        found: list[Seen] = []
        while len(found) < trials:
            asked = [study.ask() for _ in range(min(AT_A_TIME, trials - len(found)))]
            chosen = [
                tuple(one.suggest_categorical(d.tag, range(len(d.choices))) for d in space.decisions) for one in asked
            ]
            some = evaluate(chosen)
            for trial, one in zip(asked, some, strict=True):
                reward = objective.reward(one.seen, one.latency_ms)
                study.tell(trial, [one.seen, one.latency_ms] if both else reward)
            found += some
        return found

    return run


def of_pymoo(population: int) -> Contender:
    """NSGA-II for whole numbers, on accuracy and latency; a generation has as many trials as its population."""

    def run(space: Space, seed: int, objective: Objective, evaluate: Evaluate, trials: int) -> list[Seen]:
        last = np.array([len(decision.choices) - 1 for decision in space.decisions])
        problem = Problem(n_var=len(last), n_obj=2, xl=0 * last, xu=last, vtype=int)
        algorithm = NSGA2(
            pop_size=population,
            sampling=IntegerRandomSampling(),
            crossover=UX(repair=RoundingRepair()),
            mutation=PM(prob=1.0, prob_var=1 / len(last), vtype=float, repair=RoundingRepair()),
            eliminate_duplicates=True,
        )
        algorithm.setup(problem, termination=("n_eval", 10 * trials), seed=seed)
        found: list[Seen] = []
        while len(found) < trials:
            asked = algorithm.ask()
            some = evaluate([tuple(int(value) for value in row) for row in asked.get("X")])
            asked.set("F", np.array([[-one.seen, one.latency_ms] for one in some]))
            for individual in asked:
                individual.evaluated = {"F"}
            algorithm.tell(infills=asked)
            found += some
        return found[:trials]

    return run


SMALL_PPO: dict[str, Any] = {"normalize": True, "baseline": 0.8, "entropy": 0.1}
CONTENDERS: dict[str, Contender] = {
    "random": ours("random"),
    "ppo": ours("ppo"),
    "ppo-small": ours("ppo", learning_rate=0.012, batch_size=4, **SMALL_PPO),
    "reinforce": ours("reinforce", learning_rate=0.0003),
    "reinforce-small": ours("reinforce", learning_rate=0.15, baseline=0.8),
    "evolution": ours("evolution"),
    "evolution-small": ours("evolution", population=20, sample=10),
    "evolution-guided": ours(
        "evolution", founders=15, population=30, sample=10, children=200, crossover=0.3, blocks=0.3
    ),
    "optuna TPE": of_optuna(lambda seed: optuna.samplers.TPESampler(seed=seed), both=False),
    "optuna NSGA-II": of_optuna(lambda seed: optuna.samplers.NSGAIISampler(seed=seed), both=True),
    "optuna NSGA-II reward": of_optuna(
        lambda seed: optuna.samplers.NSGAIISampler(population_size=20, seed=seed), both=False
    ),
    "pymoo NSGA-II": of_pymoo(20),
}
