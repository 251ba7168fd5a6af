"""The learning rate that the plain skeletons train best with becomes that of all trainings."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mnascli.engine.config import Config, resolve
from mnascli.engine.opening import check_names
from mnascli.engine.sweep import choose, sweep, wanted
from mnascli.errors import MnasError, UsageError
from mnascli.runs import create_run, open_run, read_state
from mnascli.space import load_space
from stand_ins.evaluators import Longer

SPACE = load_space("quick")
RATES = [0.1, 0.4, 1.6]


def config_of(**sweep_values: Any) -> Config:
    return resolve("quick", None, {"sweep": {"learning_rates": RATES, "skeletons": ["plain-sep"], **sweep_values}})


class Best(Longer):
    """Trainings that are the better, the nearer their learning rate is to the best; too high a one diverges."""

    def __init__(self, best: float, most: float = 1000.0) -> None:
        self.best, self.most = best, most
        self.rates: list[float] = []

    def map(self, tasks: Any) -> Any:
        from mnascli.engine.children.executor import Finished, TaskFailed

        for task in tasks:
            rate = task.arguments["recipe"].learning_rate
            self.rates.append(rate)
            if rate > self.most:
                yield TaskFailed(task.key, "TrainingError", "the training diverged")
            else:
                yield Finished(task.key, {"accuracy": 1 / (1 + abs(rate - self.best)), "seconds": 1.0})


def search_of(run: Any, config: Config, executor: Longer) -> Any:
    return SimpleNamespace(run=run, config=config, space=SPACE, data=None, executor=executor)


@pytest.mark.parametrize("best", RATES)
def test_the_best_rate_is_that_of_all_trainings(tmp_path: Path, best: float) -> None:
    with create_run(tmp_path / "run", "", {}) as run:
        search = search_of(run, config_of(), Best(best))
        sweep(search)
        assert search.config.proxy.learning_rate == search.config.final.recipe.learning_rate == best
        assert search.config.proxy.epochs == config_of().proxy.epochs  # and not the sweep's
    assert config_of().after_sweep(read_state(tmp_path / "run").swept).proxy.learning_rate == best


def test_a_killed_sweep_trains_the_rest_and_a_finished_one_nothing(tmp_path: Path) -> None:
    with create_run(tmp_path / "run", "", {}) as run:
        values = {**wanted(config_of())[0], "accuracy": 0.9, "reason": ""}
        run.append("sweep_tried", number=0, **values)
    executor = Best(1.6)
    with open_run(tmp_path / "run") as run:
        sweep(search_of(run, config_of(), executor))
        assert executor.rates == RATES[1:]
        sweep(search_of(run, config_of(), executor))
    assert executor.rates == RATES[1:]


def test_what_diverges_is_not_chosen_and_where_all_does_it_says_so(tmp_path: Path) -> None:
    with create_run(tmp_path / "some", "", {}) as run:
        search = search_of(run, config_of(), Best(1.6, most=1.0))
        sweep(search)
        assert search.config.proxy.learning_rate == 0.4
    with create_run(tmp_path / "none", "", {}) as run, pytest.raises(MnasError) as said:
        sweep(search_of(run, config_of(), Best(1.6, most=0.0)))
    assert "found no learning rate that trains" in str(said.value) and "try lower ones" in str(said.value)
    assert "\n" not in str(said.value) and read_state(tmp_path / "none").stopped == str(said.value)


def test_no_sweep_where_none_is_wanted(tmp_path: Path) -> None:
    with create_run(tmp_path / "run", "", {}) as run:
        config = resolve("quick", None, {})
        search = search_of(run, config, Best(1.0))
        sweep(search)
        assert search.config is config and run.state.phase == "new"


def test_momentums_are_tried_with_each_rate_and_the_mean_over_skeletons_counts() -> None:
    grid = wanted(config_of(batch_norm_momentums=[0.05, 0.1], skeletons=["plain-sep", "plain-conv"]))
    assert len(grid) == 12 and len({tuple(one.values()) for one in grid}) == 12
    tried = [{**one, "accuracy": 0.5 + 0.1 * (one["batch_norm_momentum"] == 0.05)} for one in grid]
    tried[0]["accuracy"] = 0.99  # for one skeleton only
    tried[6]["accuracy"] = None  # for the other it diverges
    assert choose(tried) == (0.4, 0.05)


def test_a_skeleton_that_there_is_not_is_refused_before_the_run() -> None:
    with pytest.raises(UsageError, match="plain-spe"):
        check_names(config_of(skeletons=["plain-spe"]), SPACE)
