"""An unstable latency is marked wherever it stands, and one of the store says that it is from there."""

from pathlib import Path
from typing import Any

import pytest
from test_cli import mnas

from mnascli.cli.output import in_words
from mnascli.cli.search import _print_report
from mnascli.engine.config import dump, resolve
from mnascli.runs import UNSURE_MEANS, Run, create_run, read_state
from mnascli.runs.summary import summarize
from mnascli.tui.progress_panel import best
from mnascli.tui.source import RunSource
from mnascli.tui.trial_screen import facts

NET = "stem_k3_s2_c8,ds_r1_k3_s1_c8,head_c16,net_i28_ch1_o10"
SCORES = {"validation": 0.6, "selection": 0.6, "test": 0.6, "test_top5": 0.9, "test_images": 100, "seconds": 1.0}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run: its winner was unstable in the search, beside others and as a file; trial 1 is of the store."""
    path = tmp_path / "runs" / "made"
    with create_run(path, dump(resolve("quick", None, {})), {"command": ["mnas"], "seed": 0}) as made:
        write(made)
    return path


def write(made: Run) -> None:
    def measured(trial: int, verdict: str, **more: Any) -> None:
        values = {"latency_ms": 1.25 + trial, "p5_ms": 1.0, "p95_ms": 2.0, "verdict": verdict, "reference_ms": 1.0}
        made.append("measured", trial=trial, device="host", serial="host", **{**values, "source": "device", **more})
        made.append("trained", trial=trial, accuracy=0.5, history=[0.5], seconds=1.0)
        made.append("done", trial=trial, reward=0.5)

    made.append("run_started")
    made.append("devices_opened", devices=[{"device": "host", "name": "host", "serial": "host", "profile": "host"}])
    made.append("target_set", target_ms={"host": 9.0}, why="given")
    made.append("phase", phase="search")
    trials = [{"trial": trial, "architecture": NET} for trial in range(2)]
    made.append("asked", step=0, searcher="s", trials=trials)
    measured(0, "unstable")
    measured(1, "stable", source="store", measured_at=1e9)
    shown = {"latency_ms": {"host": 1.125}, "verdict": {"host": "unstable"}}
    size = {"parameters": 1, "multiply_adds": 1, "architecture": NET}
    made.append("compared", model="trial-0", trial=0, **shown, **size)
    made.append("long_trained", model="trial-0", trial=0, seed=0, architecture=NET, checkpoint="c", **SCORES)
    file = {"file": "export/made.tflite", "size_mb": 0.1, "max_abs_difference": 0.0}
    made.append("exported", model="trial-0", trial=0, **file, **shown)
    made.append("run_finished")


def test_every_face_marks_an_unstable_latency(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = mnas("runs", "show", run).stdout
    assert shown.count("~1.250") == 2 and "2.250 (store)" in shown and UNSURE_MEANS in shown
    front = mnas("runs", "front", run).stdout
    assert "~1.250" in front and UNSURE_MEANS in front
    state = read_state(run)
    _print_report(summarize(run, state), run, "Target")
    table = capsys.readouterr().out
    assert " ~1.125 " in table and "measured again: host ~1.125 ms" in table and UNSURE_MEANS in table
    source = RunSource(run)
    source.poll(9.0)
    assert "at ~1.25 ms (meets" in str(best(source))
    assert "host ~1.25 ms (unstable)" in str(facts(state.trials[0], source))
    assert "host 2.25 ms (from the store, measured " in str(facts(state.trials[1], source))


def test_the_report_marks_an_unstable_latency(run: Path) -> None:
    mnas("report", run)
    (html,) = run.glob("report/*.html")
    text = html.read_text()
    assert "~1.25 ms (1 to 2)" in text and "2.25 ms (1 to 2, from the store)" in text and UNSURE_MEANS in text
    assert "~1.12 ms" in text


def test_latencies_in_words() -> None:
    assert in_words({"a": 1.0, "b": 2.0}, {"a": "unstable", "b": "stable"}) == "a ~1.000 ms, b 2.000 ms"
    assert in_words({"a": 1.0}) == "a 1.000 ms"
