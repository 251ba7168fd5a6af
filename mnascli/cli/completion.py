"""What the shell completes after <TAB>: existing names, found without importing anything heavy."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def complete_model(incomplete: str) -> list[str]:
    """Zoo names and runs; after `RUN:` the trials of that run."""
    from mnascli.space import ZOO

    run, colon, _ = incomplete.rpartition(":")
    if colon:
        return _starting(incomplete, [f"{run}:{trial}" for trial in _trials(run)])
    return _starting(incomplete, [*ZOO, *_runs()])


def after_colon() -> list[str]:
    """What bash, asking for a completion, should put after `RUN:`; nothing if it asks for something else.

    A colon ends a word there: the part to complete is a separate argument, which typer does not expect.
    """
    if os.environ.get("_MNAS_COMPLETE") != "complete_bash":
        return []
    words, current = os.environ.get("COMP_WORDS", "").split(), int(os.environ.get("COMP_CWORD", "0"))
    before, incomplete = words[:current], "".join(words[current : current + 1])
    if incomplete == ":":
        before, incomplete = [*before, ":"], ""
    if len(before) < 2 or before[-1] != ":":
        return []
    return _starting(incomplete, _trials(before[-2]))


def complete_run(incomplete: str) -> list[str]:
    return _starting(incomplete, _runs())


def complete_template(incomplete: str) -> list[str]:
    from mnascli.resources import folder

    return _starting(incomplete, sorted(path.stem for path in folder("templates").glob("*.yaml")))


def complete_device(incomplete: str) -> list[str]:
    """The host, and the phones of a running adb server: none is started for a <TAB>."""
    from mnascli.devices.finding import list_devices

    return _starting(incomplete, [info.name for info in list_devices()] if _adb_answers() else ["host"])


def _adb_answers() -> bool:
    import socket

    address, port = os.environ.get("ANDROID_ADB_SERVER_ADDRESS", "127.0.0.1"), os.environ.get("ANDROID_ADB_SERVER_PORT")
    try:
        with socket.create_connection((address, int(port or 5037)), timeout=0.2):
            return True
    except (OSError, ValueError):
        return False


def _runs() -> list[str]:
    from mnascli.runs import RunError, list_runs

    try:
        return [path.name for path in list_runs(_root())]
    except (RunError, OSError):  # a <TAB> reports no errors
        return []


def _trials(run: str) -> list[str]:
    """The numbers of a run's trials; none if it is not a run, or a damaged one."""
    from mnascli.errors import MnasError
    from mnascli.runs import find_run, read_state

    try:
        return [str(trial) for trial in read_state(find_run(run, _root())).trials]
    except (MnasError, OSError):
        return []


def _root() -> Path:
    return Path(os.environ.get("MNAS_RUNS", "runs"))


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
