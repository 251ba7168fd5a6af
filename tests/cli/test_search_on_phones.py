"""`mnas search` on two phones and this machine: every cable out, Ctrl-C while it waits, and on with one phone less."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from test_cli import answer, mnas

from mnascli.runs import EventReader, RunError
from stand_ins.phone import AdbServer, StandInPhone, binary

QUICK: dict[str, Any] = {"warmups": 1, "warmup_min_s": 0, "runs": 5, "min_s": 0, "sessions": 2, "keep": 2}
LENIENT = {**QUICK, "max_spread": 9, "max_difference": 9, "max_drift": 9, "discard_drift": 9}
RECIPE = {"epochs": 1, "batch_size": 16, "warmup_epochs": 0.0}
CONFIG: dict[str, Any] = {
    "trials": 20,
    "batch": 4,
    "workers": 1,
    "searcher": {"name": "random"},
    "proxy": RECIPE,
    "final": {"finalists": 1, "seeds": 1, "compare": [], "export": False, "recipe": RECIPE},
    "space": {
        "input": {"size": 12, "channels": 1},
        "stem": {"filters": 4},
        "head": {"filters": 8},
        "choices": {"operator": ["sep", "mbconv2"], "kernel": [3, 5], "skip": ["identity"], "layers": [0, 1]},
        "blocks": [{"filters": 6, "layers": 1, "stride": 2}],
    },
}


@pytest.fixture
def phones(adb_server: AdbServer, tmp_path: Path, own_home: Path) -> Iterator[list[StandInPhone]]:
    profiles = own_home / ".config" / "mnas" / "devices"
    profiles.mkdir(parents=True)
    for name, match, measuring in (
        ("pixel-6", {"kind": "adb", "model": "Pixel 6"}, QUICK),
        ("host", {"kind": "host"}, LENIENT),
    ):
        (profiles / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, "match": match, "measuring": measuring}))
    phones = [StandInPhone(tmp_path / serial, serial=serial) for serial in ("PHONE1", "PHONE2")]
    program = binary(tmp_path / "benchmark_model")
    for phone in phones:
        adb_server.attach(phone)
        phone.scripted(ms=2.0, ms_per_mb=30.0)
        assert mnas("devices", "setup", phone.address, "--binary", program).returncode == 0
    yield phones
    for phone in phones:
        adb_server.detach(phone)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Bright bars at one of two places."""
    folder, rng = tmp_path / "bars", np.random.default_rng(0)
    for label in range(2):
        (folder / f"class{label}").mkdir(parents=True)
        for number in range(40):
            pixels = rng.integers(0, 120, (12, 12)).astype(np.uint8)
            pixels[6 * label : 6 * label + 3] += 120
            Image.fromarray(pixels).save(folder / f"class{label}" / f"{number}.png")
    return folder


def test_ctrl_c_while_no_phone_is_left_and_on_with_one(
    phones: list[StandInPhone], pictures: Path, tmp_path: Path, adb_server: AdbServer
) -> None:
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(CONFIG))
    words = ["search", "--config", "search.yaml", "--data", pictures, "--name", "two", "--device", phones[0].address]
    words += ["--device", phones[1].address, "--device", "host", "--target-ms", "pixel-6=9", "--target-ms", "host=9"]
    search = subprocess.Popen(
        [sys.executable, "-m", "mnascli.cli.main", *map(str, words)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group of its own, as a terminal gives it: Ctrl-C reaches the children too
    )
    try:
        wait_for("measured", tmp_path / "runs" / "two", search)
        for phone in phones:
            phone.unplug()
        wait_for("measuring_paused", tmp_path / "runs" / "two", search)
        os.killpg(search.pid, signal.SIGINT)
        _, said = search.communicate(timeout=60)
    finally:
        search.kill()
    assert search.returncode == 130
    last = said.splitlines()[-3:]
    assert f"no device is left to measure on as pixel-6: waiting for {phones[0].address}" in last[0]
    assert last[1].startswith("stopping: ")
    assert last[2] == "mnas: interrupted; nothing is lost: resume with 'mnas search --resume runs/two'"
    assert "Traceback" not in said

    adb_server.attach(phones[0])
    asked = len(answer("runs", "show", "two", cwd=tmp_path)["trials"])  # type: ignore[arg-type]
    resumed = mnas("search", "--resume", "two", "--trials", asked, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert f"pixel-6 {phones[1].address} is lost: not there when the search resumed" in resumed.stderr
    shown = answer("runs", "show", "two", cwd=tmp_path)
    devices = {one["serial"]: (one["state"], one["losses"]) for one in shown["devices"]}  # type: ignore[attr-defined]
    assert devices == {phones[0].address: ("ready", 1), phones[1].address: ("lost", 2), "host": ("ready", 0)}
    table = mnas("runs", "show", "two", cwd=tmp_path).stdout
    assert "not there when the search resumed" in table
    measured = Counter((one["trial"], one["device"]) for one in events(tmp_path / "runs" / "two", "measured"))
    assert measured == {(trial, device): 1 for trial in range(asked) for device in ("pixel-6", "host")}
    assert phones[0].files() == []


def events(run: Path, kind: str) -> list[dict[str, Any]]:
    try:
        return [one for one in EventReader(run / "events.jsonl").read() if one["event"] == kind]
    except RunError:  # it has not begun
        return []


def wait_for(kind: str, run: Path, search: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not events(run, kind):
        assert search.poll() is None and time.monotonic() < end, f"no {kind}"
        time.sleep(0.05)
