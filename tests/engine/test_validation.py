"""Whether a proxy ranks: the spread that is trained in full, and what is said of it."""

from pathlib import Path

import pytest

from mnascli.engine.validation import judge, spread, verdict
from mnascli.errors import MnasError
from mnascli.runs import Run, create_run

TRIALS = 20


def make(path: Path, trials: int = TRIALS) -> Run:
    """Trial n has proxy accuracy n / 100; the architectures of 0 and 1 are the same."""
    run = create_run(path, "", {})
    asked = [{"trial": trial, "architecture": f"a{max(trial, 1)}"} for trial in range(trials)]
    run.append("asked", step=0, searcher="none", trials=asked)
    for trial in range(trials):
        run.append("trained", trial=trial, accuracy=trial / 100, history=[], seconds=1.0)
        run.append("done", trial=trial, reward=0.0)
    return run


def judged(run: Run, full: list[float]) -> dict:
    chosen = spread(run.state, len(full))
    for trial, accuracy in zip(chosen, full, strict=True):
        run.append("long_trained", model=f"trial-{trial.trial}", seed=3, selection=accuracy)
    return judge(run.state, chosen, 3, 1000)


def test_the_spread_reaches_from_worst_to_best_without_repeats(tmp_path: Path) -> None:
    with make(tmp_path / "run") as run:
        assert [trial.trial for trial in spread(run.state, 4)] == [1, 7, 13, 19]
        assert [trial.trial for trial in spread(run.state, 99)] == list(range(1, 20))
    with make(tmp_path / "few", 4) as run, pytest.raises(MnasError, match="4 or more are needed"):
        spread(run.state, 10)


def test_a_proxy_that_ranks_is_trusted(tmp_path: Path) -> None:
    with make(tmp_path / "run") as run:
        outcome = judged(run, [0.5, 0.6, 0.55, 0.7, 0.8, 0.85, 0.9, 0.95])
    assert outcome["trusted"]
    assert outcome["tau"] == pytest.approx(26 / 28)
    assert verdict(outcome).endswith("the proxy ranks")


@pytest.mark.parametrize(
    ("full", "said"),
    [
        ([0.5, 0.9, 0.4, 0.8, 0.6, 0.7, 0.85, 0.65], "below 0.65: the proxy's ranking is not to be trusted"),
        ([0.9, 0.8, 0.7, 0.6, 0.5], "tau -1.00"),
        ([0.5, 0.6, 0.7, 0.8], "the proxy ranks"),
        ([0.5, 0.6, 0.8, 0.7], "too few candidates"),
        ([0.5] * 6, "all candidates came out the same"),
    ],
)
def test_what_is_said(tmp_path: Path, full: list[float], said: str) -> None:
    with make(tmp_path / "run") as run:
        outcome = judged(run, full)
    assert said in verdict(outcome)
    assert outcome["trusted"] == ("the proxy ranks" in said)
