"""The demo over several seeds: the network found beside those it is compared with, and how long it all took.

    python benchmarks/search/demo.py [--seeds 3] [--runs runs/demo]

Each seed is a search of its own, `mnas search --template quick --seed N`; its trainings are seeded from it. An
interrupted search is resumed, a finished one is not run again. Latencies compare within a search only. A search takes
about five minutes on two cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mnascli.runs import RunState, is_run, read_state
from mnascli.runs.summary import comparison

COLUMNS = ("seed", "trials", "model", "test accuracy", "latency ms", "parameters", "target ms", "file, ms", "minutes")


def search(runs: Path, seed: int) -> RunState:
    """The state of the search with that seed, run to its end."""
    path = runs / f"seed-{seed}"
    command = [sys.executable, "-m", "mnascli.cli.main", "search", "--runs", str(runs), "--json"]
    if not is_run(path):
        subprocess.run([*command, "--template", "quick", "--seed", str(seed), "--name", path.name], stdout=sys.stderr)
    elif not read_state(path).is_finished:
        subprocess.run([*command, "--resume", path.name], stdout=sys.stderr)
    return read_state(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/demo"))
    options = parser.parse_args()
    table = Table(*COLUMNS)
    for seed in range(options.seeds):
        state = search(options.runs, seed)
        minutes = ((state.last_time or 0) - (state.began or 0)) / 60
        for number, entry in enumerate(comparison(state)):
            test = f"{entry['test_mean']:.3f} ± {entry['test_spread']:.3f}"
            latency = " ".join(f"{ms:.3f}" for ms in entry["latency_ms"].values())
            once: tuple[str, ...] = ("", "", "")
            if number == 0:
                target = " ".join(f"{ms:.3f}" for ms in state.targets_ms.values())
                file = " ".join(f"{ms:.3f}" for ms in (state.export or {}).get("latency_ms", {}).values())
                once = (target, file, f"{minutes:.1f}")
            model = entry["model"] if entry["trial"] is None else f"found: {entry['model']}"
            parameters = f"{entry['parameters']:,}"
            table.add_row(str(seed), str(len(state.trials)), model, test, latency, parameters, *once)
        table.add_section()
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
