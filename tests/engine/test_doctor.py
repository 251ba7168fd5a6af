"""The doctor looks at real things, and says what is wrong instead of breaking."""

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mnascli.cli.main import app
from mnascli.engine import doctor
from mnascli.errors import NoDeviceError


def test_a_machine_that_runs_these_tests_is_well(tmp_path: Path) -> None:
    checks = {check.name: check for check in doctor.examine(tmp_path / "not" / "there")}
    assert not [check for check in checks.values() if check.state == "missing"]
    assert {"python", "torch", "gpu", "litert", "adb", "device host", "space for runs", "core pinning"} <= checks.keys()
    assert "ran a file in" in checks["litert"].found
    assert all(check.mend for check in checks.values() if check.state != "ok")


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, 10**8))
    checks = doctor._space(tmp_path)
    assert {check.state for check in checks} == {"missing"}
    assert "0.1 GB free" in checks[0].found and "free some space" in checks[0].mend


def test_no_adb_is_told_and_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise NoDeviceError("the adb server does not start on port 5037")

    monkeypatch.setattr("mnascli.devices.adb.shell.client", broken)
    monkeypatch.setattr("mnascli.devices.adb.shell.adb_is_off", lambda: False)
    check = doctor._adb()
    assert check.state == "absent" and "does not start" in check.found and "pip install" in check.mend


def test_a_check_that_breaks_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> doctor.Check:
        raise RuntimeError("libfoo.so is missing")

    monkeypatch.setattr(doctor, "_litert", broken)
    found = [check for check in doctor.examine(tmp_path) if "libfoo" in check.found]
    assert [check.state for check in found] == ["missing"]


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("absent", 0), ("missing", 1)])
def test_the_command_ends_with_1_where_something_is_missing(
    state: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [doctor.Check("python", "ok", "3.11"), doctor.Check("gpu", state, "none", "buy one")]  # type: ignore[arg-type]
    monkeypatch.setattr(doctor, "examine", lambda runs: iter(found))
    told = CliRunner().invoke(app, ["doctor", "--runs", str(tmp_path)])
    assert told.exit_code == code
    assert {"ok": "ok     ", "absent": "absent ", "missing": "MISSING"}[state] + "  gpu: none" in told.stdout
    assert "buy one" in told.stdout
    said = CliRunner().invoke(app, ["doctor", "--json"])
    assert said.exit_code == code
    values = json.loads(said.stdout)
    assert values["schema"] == 1 and values["ok"] == (code == 0)
    assert values["checks"][1] == {"name": "gpu", "state": state, "found": "none", "mend": "buy one"}
