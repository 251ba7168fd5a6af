"""`mnas monitor` as a command: once as JSON, in a browser; and `mnas search --monitor`, which starts both."""

import asyncio
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from test_cli import mnas

from mnascli.errors import MnasError
from mnascli.runs import create_run
from mnascli.runs.starting import announced, is_starting

MNAS = [sys.executable, "-m", "mnascli"]
FINISHED = [
    {"event": "run_started"},
    {"event": "target_set", "target_ms": {"phone": 6.0}, "why": "given"},
    {"event": "phase", "phase": "search"},
    {"event": "asked", "step": 0, "searcher": "s", "trials": [{"trial": 0, "architecture": "stem_c8,head_c8"}]},
    {"event": "started", "trial": 0, "worker": 0},
    {"event": "measured", "trial": 0, "device": "phone", "latency_ms": 5.0, "verdict": "stable", "serial": "S"},
    {"event": "trained", "trial": 0, "accuracy": 0.5, "history": [0.5], "seconds": 1.0},
    {"event": "done", "trial": 0, "reward": 0.51},
    {"event": "run_finished"},
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "runs" / "small"
    path.mkdir(parents=True)
    (path / "config.yaml").write_text("trials: 4\nbatch: 2\nfinal: {finalists: 1, seeds: 1, compare: []}\n")
    lines = [json.dumps({"v": 1, "time": 10.0 * n, **event}) for n, event in enumerate(FINISHED)]
    (path / "events.jsonl").write_text("\n".join(lines) + "\n")
    return path


def test_how_a_run_stands_as_json(run: Path) -> None:
    log = run / "events.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    done = subprocess.run([*MNAS, "monitor", str(run), "--json"], capture_output=True, text=True)
    said = json.loads(done.stdout)
    assert (said["schema"], said["state"], said["phase"]) == (1, "interrupted", "search")
    assert said["progress"] == {"done": 1, "of": 4} and said["best"]["trial"] == 0
    assert said["devices"] == [{"device": "phone", "measured": 1, "unstable": 0, "waiting": 0}]
    log.write_text(log.read_text() + "{broken\n")
    done = subprocess.run([*MNAS, "monitor", str(run), "--json"], capture_output=True, text=True)
    assert done.returncode == 1 and "line 9 is damaged" in done.stderr and not done.stdout
    assert subprocess.run([*MNAS, "monitor", "--json"], capture_output=True).returncode == 2


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_it_is_served_to_a_browser(run: Path) -> None:
    """What a browser does: it opens the web socket, is sent the screen, and sends keys."""
    pytest.importorskip("textual_serve", reason="textual-serve is in the browser extra")
    aiohttp = pytest.importorskip("aiohttp")
    port = free_port()
    command = [*MNAS, "monitor", str(run), "--serve", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def look() -> None:
        address = f"http://127.0.0.1:{port}/ws?width=100&height=30"
        async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
            await until(socket, "best trial 0")
            await socket.send_json(["stdin", "5"])
            await until(socket, "1 of 1 trials")

    async def until(socket: Any, words: str) -> None:
        seen = ""
        while words not in seen:
            message = await socket.receive(timeout=30)
            assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), message
            piece = message.data if isinstance(message.data, str) else message.data.decode(errors="replace")
            seen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", piece)

    try:
        wait_for_port(port)
        asyncio.run(look())
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)


def wait_for_port(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"nothing listens on {port}")


SEARCH = """
import sys, time
from pathlib import Path
from mnascli.cli import watching
real = watching.subprocess.Popen
watching.subprocess.Popen = lambda command, **kw: real([sys.executable, "-c", CHILD, *command[3:]], **kw)
CHILD = '''
import shutil, sys, time
from pathlib import Path
runs, name = (Path(sys.argv[sys.argv.index(flag) + 1]) for flag in ("--runs", "--name"))
shutil.copytree(SOURCE, runs / name)
print("the search says its end")
time.sleep(1)
'''.replace("SOURCE", repr(sys.argv.pop(1)))
from mnascli.cli.main import main
main()
"""


def test_search_with_the_monitor_starts_both(run: Path, tmp_path: Path) -> None:
    """On a pseudo-terminal; the search is a stand-in that makes the run which the command line names."""
    runs = tmp_path / "watched"
    leader, follower = pty.openpty()
    arguments = ["search", "--name", "both", "--runs", str(runs), "--monitor"]
    command = [sys.executable, "-c", SEARCH, str(run), *arguments]
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    watched = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=env)
    os.close(follower)
    seen, asked_to_quit, began = "", False, time.monotonic()
    while time.monotonic() - began < 60:
        if select.select([leader], [], [], 0.1)[0]:
            try:
                seen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", os.read(leader, 65536).decode(errors="replace"))
            except OSError:  # the other end was closed
                break
        if "best trial 0" in seen and not asked_to_quit:
            os.write(leader, b"q")
            asked_to_quit = True
    assert watched.wait(20) == 0
    os.close(leader)
    assert asked_to_quit and "starting the search" in seen
    goes_on, ended = "the search continues as process" in seen, "the search says its end" in seen
    assert goes_on or ended
    assert (runs / "both" / "events.jsonl").is_file()


def test_a_run_that_a_search_is_about_to_begin_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "soon"
    assert not is_starting(path)
    with announced(path):
        assert is_starting(path)
        begin = threading.Timer(0.5, lambda: create_run(path, "", {}).close())
        begin.start()
        done = mnas("monitor", "soon", "--json", "--runs", tmp_path / "runs")
        begin.join()
    assert done.returncode == 0 and json.loads(done.stdout)["run"] == str(path)
    assert done.stderr.startswith("soon: the search is starting")
    assert not is_starting(path)


def test_a_search_that_ends_before_it_began_is_waited_for_no_longer(tmp_path: Path) -> None:
    announcement = announced(tmp_path / "runs" / "never")
    announcement.__enter__()
    end = threading.Timer(0.5, lambda: announcement.__exit__(None, None, None))
    end.start()
    done = mnas("monitor", "never", "--json", "--runs", tmp_path / "runs")
    end.join()
    assert done.returncode == 1 and "no run called 'never'" in done.stderr


def test_a_search_announces_itself_while_it_looks_at_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def look(*_: object) -> None:
        seen.append(is_starting(tmp_path / "runs" / "soon"))
        raise MnasError("enough")

    monkeypatch.setattr("mnascli.engine.opening.begin", look)
    assert mnas("search", "--name", "soon", cwd=tmp_path).returncode == 1
    assert seen == [True] and not is_starting(tmp_path / "runs" / "soon")
    assert not (tmp_path / "runs").exists()
