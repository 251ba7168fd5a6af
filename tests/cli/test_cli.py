"""The command line as scripts see it: JSON keys, exit codes, streams, and one line for whatever is wrong."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from mnascli.cli.main import main
from mnascli.runs import create_run

TINY = """
template: quick
objective: {band: 0}
rungs: []
trials: 2
batch: 2
proxy: {epochs: 1, batch_size: 512}
final: {finalists: 1, seeds: 1, compare: [], export: false, recipe: {epochs: 1, batch_size: 512}}
space:
  stem: {filters: 4}
  head: {filters: 16}
  choices: {operator: [sep], kernel: [3], skip: [identity], layers: [0]}
"""


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def mnas(*arguments: object, cwd: Path | None = None) -> Done:
    """The command line in this process, which has torch imported already."""
    stdout, stderr = io.StringIO(), io.StringIO()
    before, argv = Path.cwd(), sys.argv
    os.chdir(cwd or before)
    sys.argv = ["mnas", *map(str, arguments)]
    code = 0
    try:
        with redirect_stdout(stdout), redirect_stderr(stderr):
            main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = argv
        os.chdir(before)
    return Done(code, stdout.getvalue(), stderr.getvalue())


def answer(*arguments: object, cwd: Path | None = None) -> dict[str, object]:
    done = mnas(*arguments, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values["schema"] == 1
    return dict(values)


def assert_one_line(done: Done, code: int, says: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert says in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert says in last and last.startswith("mnas: ")
    assert "Traceback" not in done.stderr


def test_models_show() -> None:
    values = answer("models", "show", "mnasnet-a1")
    assert values["parameters"] == 3_887_038
    assert values["multiply_adds"] == 311_579_072
    assert len(values["blocks"]) == 7  # type: ignore[arg-type]
    again = answer("models", "show", values["architecture"], "--width", 0.5, "--size", 128, "--classes", 10)
    assert again["parameters"] < 3_887_038  # type: ignore[operator]


def test_lists() -> None:
    assert {entry["model"] for entry in answer("models", "list")["models"]} >= {"mnasnet-a1"}  # type: ignore[attr-defined]
    host = answer("devices", "list")["devices"][0]  # type: ignore[index]
    assert {"name", "kind", "serial", "state"} <= host.keys()
    listed = [entry["template"] for entry in answer("templates", "list")["templates"]]  # type: ignore[attr-defined]
    assert listed == ["imagenet", "mnasnet", "photos", "quick", "quick-supernet"]
    assert answer("templates", "show", "quick")["config"]["trials"] == 20  # type: ignore[index]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['mnas', '--help']\n"
        "from mnascli.cli.main import app\n"
        "try: app()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'textual', 'numpy', 'litert_torch', 'pydantic', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["models", "show", "mnasnet-z9"], 2, "is not a model"),
        (["models", "show", "ds_r1_k4_s1_c8"], 2, "kernel 4"),
        (["search", "--target-ms", "0"], 2, "above 0 ms"),
        (["search", "--target-ms", "-3"], 2, "above 0 ms"),
        (["search", "--target-ms", "fast"], 2, "milliseconds were expected"),
        (["search", "--template", "nothing"], 2, "no template called"),
        (["search", "--data", "no/such/folder"], 2, "no/such/folder"),
        (["search", "--template", "mnasnet"], 2, "no data: give a folder of pictures"),
        (["train", "mnasnet-a1", "--template", "imagenet"], 2, "no data: give a folder of pictures"),
        (["search", "--device", "pixel99"], 3, "pixel99"),
        (["search", "--resume", "nothing"], 1, "no run called"),
        (["search", "--resume", "nothing", "--seed", "3"], 2, "--resume uses"),
        (["runs", "show", "nothing"], 1, "no run called"),
        (["benchmark", "mnasnet-small", "--device", "pixel99"], 3, "pixel99"),
        (["export", "mnasnet-a1", "--tflite"], 2, "no trained weights"),
        (["export", "mnasnet-a1"], 2, "--tflite"),
        (["evaluate", "none.tflite"], 2, "none.tflite"),
        (["evaluate", "none.safetensors"], 2, "none.safetensors"),
        (["evaluate", "none.tflite", "--mean", "0.5"], 2, "--mean and --std go together"),
        (["evaluate", "none.tflite", "--mean", "grey", "--std", "1"], 2, "numbers separated by commas"),
    ],
)
def test_what_a_user_can_cause_is_one_line(tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    assert_one_line(mnas(*arguments, cwd=tmp_path), code, says)


def test_bad_options_are_usage_errors(tmp_path: Path) -> None:
    assert mnas("search", "--trials", "0", cwd=tmp_path).returncode == 2
    assert mnas("nothing", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("template: quick\ntrails: 3\n", "did you mean 'trials'"),
        ("template: quick\ntrials: many\n", "trials"),
        ("template: quick\nspace: {blocks: [{filters: 3}]}\n", "space.blocks.0.layers"),
        ("- a\n- list\n", "a mapping"),
        ("trials: [\n", "line 2: not valid YAML"),
        ("template: quick\nsearcher: {name: oracle}\n", "oracle"),
        ("template: quick\nsearcher: {options: {learning_rat: 1}}\n", "learning_rat"),
    ],
)
def test_bad_configurations_name_file_and_key(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    done = mnas("search", "--config", "mine.yaml", cwd=tmp_path)
    assert_one_line(done, 2, says)
    assert not (tmp_path / "runs").exists()


def test_a_run_that_exists_a_damaged_one_and_one_that_is_written(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(TINY)
    create_run(tmp_path / "runs" / "old", "", {}).close()
    assert_one_line(mnas("search", "--config", "mine.yaml", "--name", "old", cwd=tmp_path), 2, "already exists")
    with create_run(tmp_path / "runs" / "busy", "", {}):
        assert_one_line(mnas("search", "--resume", "busy", cwd=tmp_path), 1, "is writing this run")
    log = tmp_path / "runs" / "old" / "events.jsonl"
    log.write_bytes(b"{damage\n" + log.read_bytes())
    assert_one_line(mnas("runs", "show", "old", cwd=tmp_path), 1, "events.jsonl: line 1 is damaged")
    assert answer("runs", "list", cwd=tmp_path)["runs"]


def test_a_search_from_start_to_evaluation(tmp_path: Path) -> None:
    """The main job with the real parts, as small as it gets: measured, trained, resumed with more trials, evaluated."""
    (tmp_path / "mine.yaml").write_text(TINY)
    first = answer("search", "--config", "mine.yaml", "--name", "tiny", "--target-ms", 5, cwd=tmp_path)
    assert (first["trials"], first["failed"], first["target_ms"]) == (2, 0, 5.0)
    assert {"trial", "architecture", "accuracy", "latency_ms", "reward"} <= first["best"].keys()  # type: ignore[attr-defined]
    more = answer("search", "--resume", "tiny", "--trials", 3, cwd=tmp_path)
    assert more["trials"] == 3
    trials = answer("runs", "show", "tiny", cwd=tmp_path)["trials"]
    assert [trial["state"] for trial in trials] == ["done"] * 3  # type: ignore[attr-defined]
    assert all(trial["latency_ms"]["host"] > 0 for trial in trials)  # type: ignore[attr-defined]
    scores = answer("evaluate", "tiny", cwd=tmp_path)
    assert scores["images"] == 1500
    assert 0 <= scores["top1"] <= scores["top5"] <= 1  # type: ignore[operator]
    results = answer("benchmark", "tiny", "tiny:0", "--device", "host", cwd=tmp_path)["results"]
    keys = {"model", "device", "median_ms", "p5_ms", "p95_ms", "runs", "verdict"}
    assert all(keys <= result.keys() for result in results)  # type: ignore[attr-defined]


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(TINY)
    plan = answer("search", "--config", "mine.yaml", "--dry-run", cwd=tmp_path)
    assert plan["trials"] == 2
    assert plan["total_minutes"] > 0  # type: ignore[operator]
    assert "seconds to train the supernet" not in plan
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.yaml"]
