"""Whether the short training tells the order: what the page says of it, and what it does not count."""

import re
from pathlib import Path
from typing import Any

import pytest
from made_runs import make_run

from mnascli.report.content import gather
from mnascli.report.page import page, text
from mnascli.runs import open_run
from mnascli.tui.log_panel import line

CANDIDATES = [{"trial": n, "architecture": "-", "proxy": n / 10, "full": 0.6 + n / 10} for n in (0, 2, 3, 4)]
OUTCOME = {"candidates": CANDIDATES, "tau": 0.51, "p_value": 0.04, "images": 1500, "trusted": False}


def test_finalists_are_judged_on_other_pictures_and_with_other_seeds_than_the_search(tmp_path: Path) -> None:
    """The search trained trial 0 with the run's seed, 0, and judged all on the validation part."""
    content = gather(make_run(tmp_path / "run"))
    finalists = content.state.ranking()[:3]
    assert finalists[0].trial == 0
    full = {pair.trial: pair.full for pair in content.proxy_and_full()}
    places = {trial.trial: place for place, trial in enumerate(finalists)}
    # Its seeds 1 and 2; of the others seed 0, two and one hundredth behind on the validation part.
    assert full == {n: pytest.approx(0.87 + (0.0015 if n == 0 else -place / 100)) for n, place in places.items()}


def test_of_a_supernet_all_trials_have_the_seed_of_the_run(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run")
    config = path / "config.yaml"
    config.write_text(config.read_text() + "evaluator: supernet\n")
    assert [pair.trial for pair in gather(path).proxy_and_full()] == [0]  # which has other seeds as well


@pytest.mark.parametrize("ceiling", [0.86, 0.42, None])
def test_the_ceiling_stands_beside_the_tau(tmp_path: Path, ceiling: float | None) -> None:
    values: dict[str, Any] = OUTCOME if ceiling is None else {**OUTCOME, "ceiling": ceiling, "seeds": 2}
    with open_run(make_run(tmp_path / "run")) as run:
        run.append("validated", **values)
    content = gather(tmp_path / "run")
    for said in (page(content), text(content)):
        assert re.search(r"Kendall's (τ|tau) = 0\.51", said)  # as it was logged, and not computed again
        assert ("Full trainings reach" in said) == (ceiling is not None)
        assert ("too little for any ranking" in said) == (ceiling == 0.42)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ceiling": 0.86}, "tau 0.51 (full training itself 0.86) over 4, not to be trusted"),
        ({}, "tau 0.51 over 4, not to be trusted"),
        ({"tau": None, "p_value": None, "ceiling": None}, "tau unknown over 4, not to be trusted"),
    ],
)
def test_the_monitors_log_says_it(changes: dict[str, Any], said: str) -> None:
    event = {"v": 1, "time": 0.0, "event": "validated", **OUTCOME, **changes}
    assert said in line(event).plain
