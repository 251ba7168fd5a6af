"""`mnas search --monitor`: the search in a process of its own, and the monitor in front of it."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from mnascli.cli.output import say
from mnascli.errors import UsageError
from mnascli.runs import find_run, is_run


def search_and_watch(resume: str | None, name: str, runs: Path) -> int:
    """Start the search that this command line asks for, show it until the monitor is left; returns the exit code.

    The search has its own session: neither Ctrl-C nor a lost terminal reaches it. Its output goes to a file beside its
    run, and is shown here once it has ended.
    """
    if not sys.stdout.isatty():
        raise UsageError("--monitor needs a terminal; without one, start the search alone")
    path = find_run(resume, runs) if resume else runs / name
    log = path.with_name(f"{path.name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    arguments = [argument for argument in sys.argv[1:] if argument != "--monitor"]
    if not resume and not any(argument.split("=")[0] == "--name" for argument in arguments):
        arguments += ["--name", name]
    with log.open("wb") as output:
        search = subprocess.Popen(
            [sys.executable, "-m", "mnascli.cli.main", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    say("starting the search (it looks at the data and the devices first) ...")
    if _has_begun(search, path):
        from mnascli.tui.app import show

        with suppress(KeyboardInterrupt):  # a kill of the monitor is not one of the search
            show(path, runs)
    if search.poll() is None:
        say(
            f"the search continues as process {search.pid}; watch it with `mnas monitor {path.name}`, "
            f"stop it with `kill -INT {search.pid}`; its output is in {log}"
        )
        return 0
    sys.stdout.write(log.read_text(errors="replace"))
    return search.returncode if search.returncode >= 0 else 1


def _has_begun(search: subprocess.Popen[bytes], path: Path) -> bool:
    """Wait for the run to exist; False if the search ended before it did."""
    while not is_run(path):
        if search.poll() is not None:
            return is_run(path)
        time.sleep(0.1)
    return True
