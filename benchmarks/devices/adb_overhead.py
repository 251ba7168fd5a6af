"""What measuring over adb costs beyond the time that the model itself runs, on the stand-in phone of the tests.

    python benchmarks/devices/adb_overhead.py [--candidates 10]

Everything but the phone is real: adbutils, the adb server, pushing, shells, LiteRT running the model. A candidate is
pushed, run in three sessions and removed. The stand-in's `benchmark_model` is a Python program: what it takes to start
(importing LiteRT) stands in a column of its own, because on a phone it is a small program that starts at once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

from mnascli import tflite
from mnascli.space import load, load_space
from stand_ins.phone import AdbServer, StandInPhone, binary

SESSIONS = 3
HOW = {"warmups": 10, "warmup_min_s": 0.1, "runs": 50, "min_s": 0.2, "timeout_s": 60.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MNAS_CONFIG_HOME"] = os.environ["MNAS_CACHE_HOME"] = str(folder / "mnas")
        os.environ["STAND_IN_TIMES"] = str(folder / "times")
        with AdbServer(folder / "home") as server:
            os.environ.update(server.environment)
            phone = StandInPhone(folder / "phone")
            server.attach(phone)
            measure(phone, folder, options.candidates)


def measure(phone: StandInPhone, folder: Path, candidates: int) -> None:
    from mnascli.devices.adb.setup import set_up_phone
    from mnascli.devices.finding import find_device, open_device

    set_up_phone(find_device(phone.address), binary(folder / "benchmark_model"))
    device = open_device(phone.address)
    device.run(tflite.write(load("mnasnet-small", size=96, classes=10), folder / "first.tflite"), **HOW)
    space, rng = load_space("mnasnet"), random.Random(0)
    print("candidate  size MB  wall s  model s  start s  overhead s  of it adb s")
    overheads, without_start = [], []
    for number in range(candidates):
        model = tflite.write(space.sample(rng).on(size=96), folder / f"{number}.tflite")
        (folder / "times").write_text("")
        began = time.perf_counter()
        for _ in range(SESSIONS):
            device.run(model, **HOW)
        device.release(model)
        wall_s = time.perf_counter() - began
        times = [json.loads(line) for line in (folder / "times").read_text().splitlines()]
        model_s, start_s = (sum(one[key] for one in times) for key in ("model_s", "start_s"))
        overheads.append(wall_s - model_s)
        without_start.append(wall_s - model_s - start_s)
        print(
            f"{number:9}  {model.stat().st_size / 1e6:7.1f}  {wall_s:6.2f}  {model_s:7.2f}  {start_s:7.2f}  "
            f"{overheads[-1]:10.2f}  {without_start[-1]:11.2f}",
            flush=True,
        )
    device.close()
    print(
        f"median of {candidates}: {statistics.median(overheads):.2f} s beyond the model's own time, "
        f"{statistics.median(without_start):.2f} s without the start of the stand-in's Python "
        f"(load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)"
    )


if __name__ == "__main__":
    main()
