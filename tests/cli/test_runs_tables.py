"""`mnas runs`: a line a trial on a terminal of any width, all of it in a pipe, and who won."""

import json
import re
import sys
from pathlib import Path

import pytest
from test_cli import answer, mnas

from mnascli.cli import output, runs
from mnascli.runs import Run, create_run

ARCHITECTURE = "stem_c8," + ",".join(["ir_r2_k3_s2_e3_c8_se0.25_skip"] * 14) + ",head_c32_d0.1,net_i28_ch1_o10"
REASON = "no memory [/bold] left:\nthe second line, which is long " + "and long " * 20


def make_run(path: Path, devices: tuple[str, ...] = ("host",), end: bool = True) -> Path:
    with create_run(path, "", {}) as run:
        run.append("target_set", target_ms=dict.fromkeys(devices, 5.0), why="given")
        opened = [{"device": name, "profile": name, "name": name, "serial": name, "asked": name} for name in devices]
        run.append("devices_opened", devices=opened)
        run.append("phase", phase="search")
        trials = [{"trial": n, "architecture": ARCHITECTURE} for n in range(3)]
        run.append("asked", step=0, searcher="-", trials=trials)
        for n in (0, 1):
            for device in devices:
                times = {"latency_ms": 1.5 + n, "p5_ms": 1.0, "p95_ms": 3.0}
                run.append("measured", trial=n, device=device, verdict="stable", serial=device, **times)
            run.append("trained", trial=n, accuracy=0.6 + n / 10, history=[0.6], seconds=1.0)
            run.append("done", trial=n, reward=0.5)
        run.append("failed", trial=2, stage="train", kind="MemoryError", reason=REASON)
        run.append("device_set_aside", device=devices[0], serial=devices[0], reason="it was " + "hot " * 40)
        if end:
            add_end(run)
    return path


def add_end(run: Run) -> None:
    """Trial 0 wins, though the search liked trial 1 better."""
    for n, seed, test in ((0, 0, 0.80), (1, 0, 0.75), (0, 1, 0.84)):
        values = {"trial": n, "seed": seed, "validation": 0.8, "selection": test, "test": test}
        run.append("long_trained", model=f"trial-{n}", architecture=ARCHITECTURE, checkpoint="-", **values)
    run.append("winner_chosen", trial=0, finalists=[1, 0])
    run.append("run_finished")


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("devices", [("host",), ("host", "pixel-6")])
def test_a_trial_is_a_line_on_a_terminal(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    width: int,
    devices: tuple[str, ...],
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    make_run(tmp_path / "mine", devices)
    runs.show("mine", tmp_path, as_json=False)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    table, rest = lines[:4], lines[4:]
    assert rest[0].strip() == "" and rest[1].strip() == "Devices:"
    assert len(rest) == 2 + 1 + len(devices) + 1 + 2
    assert max(map(len, [*table, *rest[:-2]])) <= width, lines
    if width >= 80:
        assert table[0].split()[:4] == ["trial", "state", "accuracy", "test"]
        assert table[1].split()[:6] == [
            "0",
            "done,",
            "winner",
            "0.600",
            "0.820",
            "1.500" if len(devices) == 1 else "host=1.500",
        ]
        assert "…" in table[1] and "no mem" in table[3]
        if len(devices) == 1:
            assert "stem_c8,ir_r2_k3" in table[1]
    runs.list_runs(tmp_path, as_json=False)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_pipe_has_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "mine")
    runs.show("mine", tmp_path, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith(ARCHITECTURE)
    assert " ".join(REASON.split()) in lines[3]
    assert (
        lines[-2] == "winner: trial 0: accuracy 0.600 in the search, 0.820 on test after full training, host 1.500 ms"
    )


def test_a_run_without_a_winner_names_its_best_so_far(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "mine", end=False)
    runs.show("mine", tmp_path, as_json=False)
    assert "best so far: trial 1: accuracy 0.700 in the search, host 2.500 ms" in capsys.readouterr().out
    create_run(tmp_path / "new", "", {}).close()
    runs.show("new", tmp_path, as_json=False)
    assert "none yet" in capsys.readouterr().out


def test_the_json_has_full_trainings_and_the_winner(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "mine")
    trials = json.loads(json.dumps(answer("runs", "show", "mine", cwd=tmp_path)["trials"]))
    assert [one["winner"] for one in trials] == [True, False, False]
    assert [one["test"] for one in trials] == [pytest.approx(0.82), 0.75, None]
    assert [one["architecture"] for one in trials] == [ARCHITECTURE] * 3


def test_a_table_prints_what_looks_like_markup(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("name [x]", "why"), [("a [/b] :smile:", "[red]it[/red]")], title="[/of] it")
    printed = capsys.readouterr().out
    assert "a [/b] :smile:" in printed and "[red]it[/red]" in printed and "[/of] it" in printed


def test_runs_show_of_what_is_no_run(tmp_path: Path) -> None:
    done = mnas("runs", "show", "nothing", cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
