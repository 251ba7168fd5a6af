"""Runs that earlier versions of mnas wrote still open, show, report and resume. They are as those versions left them,
without checkpoints; the commands that made them stand in their meta.json."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from test_cli import answer, mnas

from mnascli.engine.opening import reopen
from mnascli.engine.search_loop import search
from mnascli.runs import overview, read_state
from mnascli.runs.log import EventReader
from mnascli.runs.winner import winner
from mnascli.search import Objective, create_searcher
from stand_ins.evaluators import evaluate

STORED = Path(__file__).with_name("older_runs")
DATES = ("2026-11-25", "2026-11-28")


@pytest.fixture(params=DATES)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(STORED / request.param, tmp_path / "runs" / request.param))


def test_it_has_all_that_it_had(run: Path) -> None:
    state = read_state(run)
    view = overview(EventReader(run / "events.jsonl").read())
    assert len(state.trials) == len(view.state.trials) == 9 and state.is_finished
    best = winner(state)
    assert best is not None and best.accuracy is not None and best.latency_ms.keys() == {"host"}
    assert state.export is not None and state.compared


def test_every_face_shows_it(run: Path) -> None:
    shown: Any = answer("runs", "show", run)
    assert len(shown["trials"]) == 9 and shown["best"]["latency_ms"] > 0
    assert mnas("report", run).returncode == 0 and (run / "report").is_dir()
    watched: Any = answer("monitor", run)
    assert watched["best"]["trial"] == shown["best"]["trial"]


def test_it_is_resumed(tmp_path: Path) -> None:
    """As if it had been killed in the middle of its last batch: that is finished, and then there are more."""
    run = Path(shutil.copytree(STORED / "2026-11-28", tmp_path / "run"))
    lines = (run / "events.jsonl").read_text().splitlines(keepends=True)
    last = max(index for index, line in enumerate(lines) if '"event":"asked"' in line)
    (run / "events.jsonl").write_text("".join(lines[: last + 3]))
    opened = reopen(run, 15)
    try:
        before = read_state(run)
        assert len(before.trials) == 9 and not all(trial.finished for trial in before.trials.values())
        config = opened.config
        searcher = create_searcher(config.searcher.name, opened.space, config.seed, **config.searcher.options)
        objective = Objective(target_ms=before.targets_ms)
        search(opened.run, searcher, evaluate, objective, trials=15, batch=config.batch, failures=5)
    finally:
        opened.close()
    after = read_state(run)
    assert len(after.trials) == 15 and all(trial.finished for trial in after.trials.values())
    done = [trial for trial in before.trials.values() if trial.finished]
    assert done and all(after.trials[trial.trial].accuracy == trial.accuracy for trial in done)
