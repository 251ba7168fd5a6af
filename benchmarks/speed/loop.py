"""How time and memory of the search loop grow with the number of trials, where evaluating one takes no time.

    python benchmarks/speed/loop.py [--trials 2500 5000 10000]

The aim is linear: a trial of the longest search costs as much as one of the shortest. The loop is `mnas search`'s own,
on a run in a temporary folder: evolution with its default options proposes networks of the quick template's space, the
evaluator of the tests answers at once, and all is logged as usual. Each size runs in a process of its own, whose peak
memory is the kernel's (ru_maxrss of Linux); most of it is torch's, taken before the search begins. The default
sizes take less than a minute.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from mnascli.engine.search_loop import search
from mnascli.runs import create_run
from mnascli.search import Objective, create_searcher
from mnascli.space import load_space
from stand_ins.evaluators import DEVICE, TARGET_MS, evaluate

BATCH = 6  # the quick template's


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def run_search(trials: int) -> tuple[float, float, float, float]:
    """Wall seconds, the log's size in MB, and peak memory in MB before and after a search of that many trials."""
    objective = Objective(target_ms={DEVICE: TARGET_MS})
    with tempfile.TemporaryDirectory() as folder, create_run(Path(folder) / "run", "", {}) as run:
        run.append("target_set", target_ms={DEVICE: TARGET_MS}, why="given")
        searcher = create_searcher("evolution", load_space("quick"), seed=0)
        before_mb, began = peak_mb(), time.perf_counter()
        search(run, searcher, evaluate, objective, trials=trials, batch=BATCH, failures=trials)
        taken_s = time.perf_counter() - began
        assert len(run.state.trials) == trials
        log_mb = (run.path / "events.jsonl").stat().st_size / 1e6
    return taken_s, log_mb, before_mb, peak_mb()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[2500, 5000, 10_000])
    sizes = sorted(parser.parse_args().trials)
    print("| trials | s | ms a trial | to the smallest | log MB | memory before, MB | peak memory, MB |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    smallest_ms = None
    for trials in sizes:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            taken_s, log_mb, before_mb, after_mb = pool.submit(run_search, trials).result()
        trial_ms = taken_s / trials * 1000
        smallest_ms = smallest_ms or trial_ms
        ratio = trial_ms / smallest_ms
        print(
            f"| {trials:,} | {taken_s:.1f} | {trial_ms:.2f} | {ratio:.2f} | {log_mb:.1f} | {before_mb:.0f} "
            f"| {after_mb:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
