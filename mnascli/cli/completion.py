"""What the shell completes after <TAB>: names that are there, found without importing anything heavy."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def complete_model(incomplete: str) -> list[str]:
    """Zoo names and runs; after `RUN:` its trials are the user's to know."""
    from mnascli.space import ZOO

    return _starting(incomplete, [*ZOO, *_runs()])


def complete_run(incomplete: str) -> list[str]:
    return _starting(incomplete, _runs())


def complete_template(incomplete: str) -> list[str]:
    from mnascli.resources import folder

    return _starting(incomplete, sorted(path.stem for path in folder("templates").glob("*.yaml")))


def complete_device(incomplete: str) -> list[str]:
    """The host, and the phones of an adb server that runs already: none is started for a <TAB>."""
    from mnascli.devices import list_devices

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
        return [path.name for path in list_runs(Path(os.environ.get("MNAS_RUNS", "runs")))]
    except (RunError, OSError):  # for a <TAB> no error is told
        return []


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
