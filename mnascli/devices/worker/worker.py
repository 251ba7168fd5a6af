"""The process that runs .tflite files, on this machine or sent to a board: one file, needs numpy and ai-edge-litert.

    python worker.py --cores 3 --threads 1

One JSON object a line on stdin, one JSON answer a line on stdout:

    {"command": "conditions"}                                -> {"conditions": {...}}
    {"command": "load", "model": SHA256, "path": P}          -> {}      (or "bytes": base64)
    {"command": "run", "model": SHA256, "warmups": 10, "warmup_min_s": 0.5, "runs": 50, "min_s": 1, "timeout_s": 60}
                                                             -> {"samples_ms": [...], "before": {...}, "after": {...}}
    {"command": "forget", "model": SHA256}                   -> {}

A request that fails is answered with {"error": text}. End of input ends the process. The first line it writes
is {"ready": true, "conditions": {...}} or an error. A run that takes longer than `timeout_s` ends the process with
exit code 1, so that a board keeps no orphan when the connection is gone.
"""

from __future__ import annotations

import argparse
import base64
import faulthandler
import gc
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def pin(cores: list[int]) -> list[int]:
    """Pin this process, and the threads it will start, to the cores; returns those used, [] where unsupported."""
    if not cores or not hasattr(os, "sched_setaffinity"):
        return []
    os.sched_setaffinity(0, cores)
    return sorted(os.sched_getaffinity(0))


def read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def frequency_mhz(core: int) -> float | None:
    """The clock of a core now: from cpufreq, or on x86 from /proc/cpuinfo."""
    khz = read(f"/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq")
    if khz.isdigit():
        return int(khz) / 1000
    clocks = [line.split(":")[1] for line in read("/proc/cpuinfo").splitlines() if line.startswith("cpu MHz")]
    return float(clocks[core]) if core < len(clocks) else None


def temperature_c() -> float | None:
    """The hottest of the kernel's thermal zones; None if there is none."""
    texts = [read(path) for path in Path("/sys/class/thermal").glob("thermal_zone*/temp")]
    # Unused zones report 0, -40 or 127 and more: not temperatures of a running machine.
    values = [int(text) / 1000 for text in texts if text.lstrip("-").isdigit()]
    return max((value for value in values if 0 < value < 125), default=None)


def thermal_status() -> int | None:
    """On a Raspberry Pi: 1 while it is throttled or undervolted (bits 0 to 3 of get_throttled); else 0."""
    vcgencmd = shutil.which("vcgencmd")
    if vcgencmd is None:
        return None
    output = subprocess.run([vcgencmd, "get_throttled"], capture_output=True, text=True, timeout=5, check=False).stdout
    flags = output.strip().partition("=")[2]
    return int(int(flags, 16) & 0xF != 0) if flags.startswith("0x") else None


def conditions(cores: list[int]) -> dict[str, Any]:
    """The fields of `mnascli.devices.device.Conditions`."""
    return {
        "cores": cores,
        "runtime": f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}",
        "os_build": platform.platform(),
        "frequency_mhz": frequency_mhz(cores[0]) if cores else None,
        "temperature_c": temperature_c(),
        "thermal_status": thermal_status(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def some_input(shape: Any, dtype: Any) -> Any:
    """Fixed random data for an input of any shape and type; raises ValueError for a non-numeric type."""
    import numpy

    random = numpy.random.default_rng(0)
    kind = numpy.dtype(dtype)
    if kind.kind == "b":
        return random.integers(0, 2, shape).astype(kind)
    if kind.kind in "iu":
        # Wide integers are mostly indices, of which only 0 is sure to exist; int8 and uint8 are quantized pictures.
        limits = numpy.iinfo(kind) if kind.itemsize == 1 else None
        return random.integers(limits.min, limits.max + 1, shape, kind) if limits else numpy.zeros(shape, kind)
    if kind.kind in "fc":
        return random.uniform(-1, 1, shape).astype(kind)
    raise ValueError(f"an input of type {kind} cannot be filled with numbers")


def run(content: bytes, threads: int, request: dict[str, Any]) -> list[float]:
    """Milliseconds of each run, in a fresh interpreter: its memory is in a different place each time, which a
    median over sessions then averages out."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    for tensor in interpreter.get_input_details():
        interpreter.set_tensor(tensor["index"], some_input(tensor["shape"], tensor["dtype"]))
    invoke, clock = interpreter.invoke, time.perf_counter_ns
    gc.collect()
    gc.disable()
    try:
        end, count = clock() + int(request["warmup_min_s"] * 1e9), 0
        while count < request["warmups"] or clock() < end:
            invoke()
            count += 1
        samples: list[float] = []
        stop = before = clock()
        end = before + int(request["min_s"] * 1e9)
        while len(samples) < request["runs"] or stop < end:
            before = clock()
            invoke()
            stop = clock()
            samples.append((stop - before) / 1e6)
        return samples
    finally:
        gc.enable()


def answer(request: dict[str, Any], models: dict[str, bytes], cores: list[int], threads: int) -> dict[str, Any]:
    command = request["command"]
    if command == "conditions":
        return {"conditions": conditions(cores)}
    if command == "load":
        content = Path(request["path"]).read_bytes() if "path" in request else base64.b64decode(request["bytes"])
        if hashlib.sha256(content).hexdigest() != request["model"]:
            raise ValueError("the model that arrived is not the one that was sent")
        models[request["model"]] = content
        return {}
    if command == "forget":
        models.pop(request["model"], None)
        return {}
    if command == "run":
        before = conditions(cores)
        # Works even while the model is stuck in native code, where no Python signal handler would run.
        faulthandler.dump_traceback_later(request["timeout_s"], exit=True)
        try:
            samples = run(models[request["model"]], threads, request)
        finally:
            faulthandler.cancel_dump_traceback_later()
        return {"samples_ms": [round(sample, 6) for sample in samples], "before": before, "after": conditions(cores)}
    raise ValueError(f"unknown command {command!r}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cores", default="", help="comma-separated; empty: not pinned")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    # Answers get their own descriptor: whatever else is printed to stdout goes to stderr.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    models: dict[str, bytes] = {}
    try:
        cores = pin([int(core) for core in options.cores.split(",") if core])
        import ai_edge_litert.interpreter  # noqa: F401  (seconds on a small board: not in the first run)

        send({"ready": True, "conditions": conditions(cores)})
    except Exception as error:
        send({"error": f"{type(error).__name__}: {error}"})
        return
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line), models, cores, options.threads)
        except Exception as error:  # whatever goes wrong with a model or a request is an answer, not the end
            reply = {"error": f"{type(error).__name__}: {error}"}
        send(reply)


if __name__ == "__main__":
    main()
