"""`mnas doctor`: whether this machine has what is needed."""

from __future__ import annotations

import sys

from mnascli.cli.output import RUNS, JsonOption, RunsOption, print_json
from mnascli.errors import MnasError

SIGNS = {"ok": "ok     ", "absent": "absent ", "missing": "MISSING"}


def doctor(runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """Say whether everything is installed, and how to fix what is missing.

    It looks at Python, torch, litert, adb, devices, disk, cores and GPU.

    'absent' means that only some users need it; with anything 'MISSING' the exit code is 1.

    Example: mnas doctor
    """
    from mnascli.engine.doctor import examine

    checks = []
    for check in examine(runs):
        checks.append(check)
        if not as_json:
            print(f"{SIGNS[check.state]}  {check.name}: {check.found}")
            if check.mend:
                print(f"           {check.mend}")
            sys.stdout.flush()
    missing = [check.name for check in checks if check.state == "missing"]
    if as_json:
        print_json({"ok": not missing, "checks": [check.to_json() for check in checks]})
    if missing:
        raise MnasError(f"missing: {', '.join(missing)}; how to fix it is beside each")
