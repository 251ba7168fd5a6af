"""Whether a proxy ranks: the spread that is trained in full, and what is said of it."""

from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mnascli.engine import finals
from mnascli.engine.validation import judge, label_seeds, spread, verdict
from mnascli.errors import MnasError
from mnascli.runs import Run, create_run
from mnascli.search.ranking import kendall_tau

TRIALS = 20


def make(path: Path, trials: int = TRIALS) -> Run:
    """Trial n has proxy accuracy n / 100; the networks of 0 and 1 are the same."""
    run = create_run(path, "", {})
    names = ["ir_r1_k3_s1_e1_c9", "ds_r1_k3_s1_c9", *(f"ds_r1_k3_s1_c{8 + trial}" for trial in range(2, trials))]
    asked = [{"trial": trial, "architecture": name} for trial, name in enumerate(names)]
    run.append("asked", step=0, searcher="none", trials=asked)
    for trial in range(trials):
        run.append("trained", trial=trial, accuracy=trial / 100, history=[], seconds=1.0)
        run.append("done", trial=trial, reward=0.0)
    return run


def judged(run: Run, *full: list[float], validation: tuple[list[float], ...] | None = None) -> dict[str, Any]:
    """With the accuracies on the selection part of seeds 3, 4, ..., the same on the validation part if not given."""
    chosen = spread(run.state, len(full[0]))
    for seed, (selection, other) in enumerate(zip(full, validation or full, strict=True), start=3):
        for trial, *accuracies in zip(chosen, selection, other, strict=True):
            values = dict(zip(("selection", "validation"), accuracies, strict=True))
            run.append("long_trained", model=f"trial-{trial.trial}", seed=seed, **values)
    seeds = {trial.trial: range(3, 3 + len(full)) for trial in chosen}
    return judge(run.state, chosen, seeds, 1000)


def test_the_spread_reaches_from_worst_to_best_without_repeats(tmp_path: Path) -> None:
    with make(tmp_path / "run") as run:
        assert [trial.trial for trial in spread(run.state, 4)] == [0, 7, 13, 19]
        assert [trial.trial for trial in spread(run.state, 99)] == [0, *range(2, 20)]
    with make(tmp_path / "few", 4) as run, pytest.raises(MnasError, match="4 or more are needed"):
        spread(run.state, 10)


def test_a_proxy_that_ranks_is_trusted(tmp_path: Path) -> None:
    with make(tmp_path / "run") as run:
        outcome = judged(run, *2 * [[0.5, 0.6, 0.55, 0.7, 0.8, 0.85, 0.9, 0.95]])
    assert outcome["trusted"]
    assert outcome["tau"] == pytest.approx(26 / 28)
    assert verdict(outcome).endswith("the proxy ranks")


@pytest.mark.parametrize(
    ("full", "said"),
    [
        ([0.5, 0.9, 0.4, 0.8, 0.6, 0.7, 0.85, 0.65], "below 0.65: the proxy's ranking cannot be trusted"),
        ([0.9, 0.8, 0.7, 0.6, 0.5], "tau -1.00"),
        ([0.5, 0.6, 0.7, 0.8], "the proxy ranks"),
        ([0.5, 0.6, 0.8, 0.7], "too few candidates"),
        ([0.5] * 6, "all candidates came out the same"),
    ],
)
def test_what_is_said(tmp_path: Path, full: list[float], said: str) -> None:
    with make(tmp_path / "run") as run:
        outcome = judged(run, full, full)
    assert said in verdict(outcome)
    assert outcome["trusted"] == ("the proxy ranks" in said)


def test_tau_and_ceiling_are_means_over_seeds_and_share_no_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    selection, validation = (rng.uniform(size=(3, 8)).tolist() for _ in range(2))
    with make(tmp_path / "run") as run:
        outcome = judged(run, *selection, validation=tuple(validation))
        proxy = [trial.accuracy or 0.0 for trial in spread(run.state, 8)]
    taus = [kendall_tau(proxy, of_seed).tau for of_seed in selection]
    assert outcome["tau"] == pytest.approx(sum(taus) / 3)
    others = [kendall_tau(validation[a], selection[b]).tau for a in range(3) for b in range(3) if a != b]
    assert outcome["ceiling"] == pytest.approx(sum(others) / 6)
    assert outcome["seeds"] == 3
    assert [row["full"] for row in outcome["candidates"]] == pytest.approx(np.mean(selection, axis=0))
    assert [label["seed"] for label in outcome["candidates"][0]["labels"]] == [3, 4, 5]


def test_where_full_trainings_do_not_agree_no_proxy_is_to_blame(tmp_path: Path) -> None:
    one, other = [0.5, 0.9, 0.4, 0.8, 0.6, 0.7, 0.85, 0.65], [0.9, 0.5, 0.8, 0.4, 0.7, 0.6, 0.65, 0.85]
    with make(tmp_path / "run") as run:
        said = verdict(judged(run, one, other))
    assert "a full training with another seed has" in said
    assert "full trainings do not rank these candidates either" in said
    old = {"tau": 0.5, "p_value": 0.01, "candidates": [{}] * 10}  # as it was logged before there was a ceiling
    assert verdict(old) == (
        "Kendall tau 0.50 (p = 0.010) over 10 candidates, below 0.65: the proxy's ranking cannot be trusted; use a "
        "longer proxy"
    )


def test_labels_never_have_the_seed_of_their_proxy() -> None:
    assert label_seeds(7, 7, 2) == [8, 9]
    assert label_seeds(7, 8, 3) == [7, 9, 10]
    assert label_seeds(7, 12, 2) == [7, 8]


@pytest.mark.parametrize("evaluator", ["training", "supernet"])
def test_validating_trains_with_other_seeds_than_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluator: str
) -> None:
    """The search trained trial n with seed 2 + n, a supernet with seed 2; a label that failed costs its candidate."""
    wanted: list[tuple[int, int]] = []

    def train(opened: Any, entries: Any) -> None:
        for entry, seed in entries:
            wanted.append((entry.trial, seed))
            about = {"model": entry.model, "architecture": entry.architecture, "trial": entry.trial, "seed": seed}
            if entry.trial == failing:
                opened.run.append("long_failed", **about, kind="memory", reason="ran out of memory")
            else:
                accuracy = entry.trial / 100 + seed / 1000
                opened.run.append("long_trained", **about, selection=accuracy, validation=accuracy)

    monkeypatch.setattr(finals, "train_in_full", train)
    failing = 19
    with make(tmp_path / "run") as run:
        config = SimpleNamespace(seed=2, evaluator=evaluator)
        part = SimpleNamespace(labels=range(500))
        opened: Any = SimpleNamespace(run=run, config=config, dataset=SimpleNamespace(selection=part))
        outcome = finals.validate_proxy(opened, 99)
        assert run.state.validation is not None and run.state.validation["ceiling"] == outcome["ceiling"] == 1
    assert len(wanted) == 2 * 19
    assert all(seed != (2 if evaluator == "supernet" else 2 + trial) for trial, seed in wanted)
    assert failing not in [row["trial"] for row in outcome["candidates"]]
    labels = chain.from_iterable(row["labels"] for row in outcome["candidates"])
    assert len(list(labels)) == 2 * 18
    with make(tmp_path / "few", 5) as run:
        failing = 4
        opened.run = run
        with pytest.raises(MnasError, match="full trainings of 1 of 4 candidates failed: 3 are too few"):
            finals.validate_proxy(opened, 10)
