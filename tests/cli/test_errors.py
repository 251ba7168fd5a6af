"""Whatever a user, a disk or a pipe does wrong is one line and a documented exit code; with --json one object."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import answer, assert_one_line, mnas
from test_help import ALL

from mnascli.errors import reason
from mnascli.runs import create_run

ROOT = Path(__file__).parents[2]
LONG = "n" * 300
LAYERS = ",".join(["ds_r1_k3_s1_c8"] * 30)

# What each command refuses; those of which nothing but an option can be wrong have None.
REFUSED: dict[str, list[str] | None] = {
    "mnas search": ["--data", "no/such/folder"],
    "mnas monitor": ["nothing"],
    "mnas train": ["nothing"],
    "mnas evaluate": ["nothing"],
    "mnas export": ["nothing", "--tflite"],
    "mnas benchmark": ["mnasnet-a1", "--device", "pixel99"],
    "mnas report": ["nothing"],
    "mnas doctor": ["--runs", "file"],
    "mnas devices list": None,
    "mnas devices probe": ["pixel99"],
    "mnas devices setup": ["pixel99"],
    "mnas devices measure": ["nothing"],
    "mnas devices add": ["pi"],
    "mnas devices fit": ["host", "--space", "nothing"],
    "mnas models list": None,
    "mnas models show": ["nothing"],
    "mnas runs list": ["--runs", "file"],
    "mnas runs front": ["nothing"],
    "mnas runs validate": ["nothing"],
    "mnas runs show": ["nothing"],
    "mnas templates list": None,
    "mnas templates show": ["nothing"],
}


def assert_error_object(done: object, code: int | None = None) -> dict[str, object]:
    """Nothing but the one object at the end of stderr; doctor alone has a result that is an error, too."""
    error = json.loads(done.stderr.splitlines()[-1])  # type: ignore[attr-defined]
    assert error["schema"] == 1 and error["error"].keys() == {"message", "exit_code"}
    assert error["error"]["exit_code"] == done.returncode != 0  # type: ignore[attr-defined]
    assert code is None or done.returncode == code  # type: ignore[attr-defined]
    assert "\n" not in error["error"]["message"] and "Traceback" not in done.stderr  # type: ignore[attr-defined]
    return dict(error["error"])


def test_every_command_is_tried() -> None:
    assert set(REFUSED) == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_with_json_an_error_of_every_command_is_an_object_on_stderr(name: str, tmp_path: Path) -> None:
    words = name.split()[1:]
    (tmp_path / "file").write_text("no folder")
    unknown = mnas(*words, "--json", "--no-such-option", cwd=tmp_path)
    assert "--no-such-option" in str(assert_error_object(unknown, 2)["message"])
    assert unknown.stdout == ""
    refused = REFUSED[name]
    if refused is None:
        return
    done = mnas(*words, *refused, "--json", cwd=tmp_path)
    assert_error_object(done)
    assert done.stdout == "" or name == "mnas doctor"
    plain = mnas(*words, *refused, cwd=tmp_path)
    assert plain.returncode == done.returncode
    assert plain.stderr.splitlines()[-1].startswith("mnas: ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--json"], "--json"),
        (["devices", "--json"], "--json"),
        (["nothing", "--json"], "nothing"),
        (["runs", "show", "--json"], "Missing argument"),
        (["search", "--trials", "0", "--json"], "--trials"),
        (["search", "--trials", "many", "--json"], "--trials"),
        (["train", "mnasnet-a1", "--device", "abacus", "--json"], "abacus"),
        (["search", "--json", "--name"], "--name"),
    ],
)
def test_what_the_command_line_itself_refuses_is_an_object_too(arguments: list[str], says: str) -> None:
    assert says in str(assert_error_object(mnas(*arguments), 2)["message"])
    plain = mnas(*[one for one in arguments if one != "--json"])
    assert plain.returncode == 2
    if len(arguments) > 2:
        assert len(plain.stderr.splitlines()) == 1 and "see `mnas" in plain.stderr


def test_a_fault_of_ours_is_an_object_after_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnascli.runs.list_runs", lambda root: 1 / 0)
    done = mnas("runs", "list", "--json")
    assert done.returncode == 1 and "Traceback" in done.stderr
    assert "ZeroDivisionError" in json.loads(done.stderr.splitlines()[-1])["error"]["message"]


def test_ctrl_c_is_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    def press(root: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mnascli.runs.list_runs", press)
    assert_error_object(mnas("runs", "list", "--json"), 130)
    assert_one_line(mnas("runs", "list"), 130, "interrupted")


def test_an_architecture_may_be_longer_than_any_file_name(tmp_path: Path) -> None:
    assert len(LAYERS) > 255
    assert len(answer("models", "show", LAYERS)["blocks"]) == 30  # type: ignore[arg-type]
    wrong = mnas("models", "show", LAYERS + ",ds_r1_k4_s1_c8")
    assert_one_line(wrong, 2, "kernel 4")
    assert_one_line(mnas("train", LAYERS, "--data", "no/such", cwd=tmp_path), 2, "no/such")
    assert_one_line(mnas("export", LAYERS, "--tflite", cwd=tmp_path), 2, "no trained weights")
    assert_one_line(mnas("evaluate", LAYERS, cwd=tmp_path), 2, "no trained weights")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["models", "show", LONG], 2),
        (["runs", "show", LONG], 1),
        (["runs", "list", "--runs", LONG], 1),
        (["runs", "show", "x", "--runs", f"a/{LONG}"], 1),
        (["report", LONG], 1),
        (["search", "--name", LONG], 2),
        (["search", "--name", "n" * 240], 2),  # a folder could have it, the file that is exported could not
        (["search", "--name", "two\nlines"], 2),
        (["search", "--data", LONG], 2),
        (["search", "--config", LONG], 2),
        (["search", "--template", f"{LONG}.yaml"], 2),
        (["search", "--resume", LONG], 1),
        (["templates", "show", LONG], 2),
        (["evaluate", f"{LONG}.safetensors"], 2),
        (["evaluate", f"{LONG}.tflite"], 2),
        (["benchmark", f"{LONG}.tflite"], 2),
        (["train", "mnasnet-a1", "--pretrained", f"{LONG}.pth"], 2),
        (["train", "mnasnet-a1", "--pretrained", f"{LONG}.safetensors"], 2),
        (["devices", "fit", "host", "--space", LONG], 2),
        (["devices", "fit", "host", "--space", "quick", "--output", LONG], 1),
        (["devices", "probe", LONG], 3),
    ],
)
def test_a_name_that_is_too_long_is_one_line(arguments: list[str], code: int, tmp_path: Path) -> None:
    done = mnas(*arguments, cwd=tmp_path)
    assert_one_line(done, code, "mnas: ")
    assert not list(tmp_path.rglob("*.yaml"))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["report", "demo", "--output", "folder"], 1),
        (["report", "demo", "--output", "file/x.html"], 1),
        (["runs", "list", "--runs", "file"], 1),
        (["search", "--resume", "demo", "--runs", "file"], 1),
        (["search", "--config", "folder"], 2),
        (["search", "--template", "folder.yaml"], 2),
        (["search", "--data", "file"], 2),
        (["train", "ds_r1_k3_s1_c8", "--size", "28", "--output", "file"], 1),
        (["train", "ds_r1_k3_s1_c8", "--size", "28", "--output", "file/below"], 1),
        (["train", "mnasnet-a1", "--pretrained", "folder"], 2),
        (["train", "mnasnet-a1", "--pretrained", "folder.safetensors"], 2),
        (["evaluate", "folder.tflite"], 2),
        (["evaluate", "folder.safetensors"], 2),
        (["devices", "fit", "host", "--space", "quick", "--output", "folder"], 1),
        (["devices", "fit", "host", "--space", "quick", "--output", "file/x.json"], 1),
        (["devices", "fit", "host", "--space", "folder.yaml"], 2),
    ],
)
def test_a_file_where_a_folder_is_wanted_and_the_reverse(arguments: list[str], code: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for name in ("folder", "folder.tflite", "folder.safetensors", "folder.yaml"):
        (tmp_path / name).mkdir()
    create_run(tmp_path / "runs" / "demo", "", {}).close()
    done = mnas(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1].startswith("mnas: ") and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        (["search", "--resume", "demo"], "LOCK"),
        (["runs", "validate", "demo"], "LOCK"),
        (["report", "demo"], "report.html"),
        (["train", "ds_r1_k3_s1_c8", "--size", "28", "--epochs", "1"], "trained"),
        (["devices", "fit", "host", "--space", "quick"], "latency.json"),
    ],
)
@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_disk_that_cannot_be_written(
    arguments: list[str], written: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root no right is missing, and nothing can be mounted in a test: so every opening for writing is refused."""
    create_run(tmp_path / "runs" / "demo", "", {}).close()
    real = os.open

    def refuse(path: str, flags: int, *others: object, **named: object) -> int:
        if str(path).startswith(str(tmp_path)) or not str(path).startswith("/"):
            raise OSError(number, os.strerror(number), str(path))
        return real(path, flags, *others, **named)  # type: ignore[arg-type]

    real_open = Path.open

    def refuse_open(self: Path, mode: str = "r", *others: object, **named: object) -> object:
        if set(mode) & set("wax+"):
            raise OSError(number, os.strerror(number), str(self))
        return real_open(self, mode, *others, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse_open)
    monkeypatch.setattr(os, "open", refuse)
    done = mnas(*arguments, cwd=tmp_path)
    assert_one_line(done, 1, reason(OSError(number, os.strerror(number))))
    assert written in done.stderr or "runs/demo" in done.stderr


def test_an_error_of_the_system_that_nobody_foresaw_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(root: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/some/where")

    monkeypatch.setattr("mnascli.runs.list_runs", fail)
    assert_one_line(mnas("runs", "list"), 1, "/some/where: permission denied")


def shell(command: str, cwd: Path) -> tuple[int, str]:
    """Exit code and all that came out of a line of shell in which $MNAS is the program."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "MNAS": f"{sys.executable} -m mnascli.cli.main"}
    done = subprocess.run(["bash", "-c", command], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("arguments", ["models list", "models show mnasnet-a1 --json", "--help"])
@pytest.mark.parametrize("where", [">&-", ">/dev/full", ">&- <&-"])
def test_a_result_that_cannot_be_written_is_an_error(arguments: str, where: str, tmp_path: Path) -> None:
    code, said = shell(f"$MNAS {arguments} {where}", tmp_path)
    assert code == 1
    assert len(said.splitlines()) == 1 and "standard output" in said


def test_what_else_is_said_may_be_lost(tmp_path: Path) -> None:
    for where in ("2>&-", "2>/dev/full"):
        code, said = shell(f"$MNAS models list {where}", tmp_path)
        assert code == 0 and "mnasnet-a1" in said
    assert shell("$MNAS runs show nothing 2>&-", tmp_path) == (1, "")
    assert shell("$MNAS models list >&- 2>&-", tmp_path) == (1, "")


def test_a_pipe_that_is_read_no_more_is_no_error(tmp_path: Path) -> None:
    assert shell("$MNAS models list | true; exit ${PIPESTATUS[0]}", tmp_path) == (0, "")
    assert shell("$MNAS templates show mnasnet | head -c 1 >/dev/null; exit ${PIPESTATUS[0]}", tmp_path) == (0, "")


def test_an_error_is_told_also_where_the_result_had_no_place(tmp_path: Path) -> None:
    code, said = shell("$MNAS runs show nothing >&-", tmp_path)
    assert code == 1 and "no run called 'nothing'" in said


def test_letters_that_the_terminal_lacks_are_no_error(tmp_path: Path) -> None:
    code, said = shell("PYTHONIOENCODING=ascii $MNAS devices list; $MNAS search --data $'caf\\xe9'", tmp_path)
    assert code == 2 and "Traceback" not in said
