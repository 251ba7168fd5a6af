"""How long `mnas --help` takes beside the interpreter's own start.

    python benchmarks/speed/startup.py [--repeats 10]

The aim is 0.25 s on an idle machine; the ratio is what can be compared. All run in turns, the fastest of each counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "mnas --help": ["-m", "mnascli", "--help"],
    "mnas --version": ["-m", "mnascli", "--version"],
    "mnas templates list": ["-m", "mnascli", "templates", "list"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    fastest = dict.fromkeys(COMMANDS, float("inf"))
    for _ in range(arguments.repeats):
        for name, arguments in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
            fastest[name] = min(fastest[name], time.perf_counter() - began)
    alone = fastest["python -c pass"]
    print("| command | s | of the interpreter's own start |")
    print("|---|---:|---:|")
    for name, seconds in fastest.items():
        print(f"| `{name}` | {seconds:.3f} | {seconds / alone:.1f} |")


if __name__ == "__main__":
    main()
