"""The program that runs a model on a phone, `benchmark_model`: its command line, and what it prints.

There are two flavours: TensorFlow Lite's (`tools/benchmark`) and LiteRT 2's, whose flags and summary differ. Both print
one line of microseconds for the warm-up and then one for the measured runs, so the last one counts:

    count=50 first=1249964 curr=... min=... max=... avg=1.24027e+06 std=2565 p5=1237006 median=1239807 p95=1245098

and both only warn about flags they do not know and nodes that the delegate did not take: here those are errors.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Literal

from mnascli.devices.adb.delegation import check_delegation
from mnascli.devices.device import Accelerator, DeviceError

Flavour = Literal["tflite", "litert"]

_ACCELERATOR_FLAGS: dict[tuple[Flavour, Accelerator], str] = {
    ("tflite", "cpu"): "use_xnnpack",
    ("tflite", "gpu"): "use_gpu",
    ("tflite", "npu"): "use_nnapi",
    ("litert", "cpu"): "use_cpu",
    ("litert", "gpu"): "use_gpu",
    ("litert", "npu"): "use_npu",
}

_IGNORED = re.compile(r"Unconsumed cmdline flags: *(.+)")
_COUNT = re.compile(r"\bcount=(\d+)\b(.*)")
_VALUE = re.compile(r"(\w+)=([-+.\deE]+)")


@dataclass(frozen=True)
class Summary:
    """What the measured runs took. `note` says what the log leaves out, '' if nothing."""

    runs: int
    median_ms: float
    p5_ms: float
    p95_ms: float
    note: str = ""


def flavour_of(usage: str) -> Flavour:
    """Which flavour a program is, from what it prints for `--help`. Raises DeviceError if it is none."""
    if "--num_runs" not in usage:
        last = usage.strip().splitlines()[-1:] or ["it printed nothing"]
        raise DeviceError(f"the program is not a benchmark_model: --help gave: {last[0][:200]}")
    return "litert" if "--use_npu" in usage or "--result_file_path" in usage else "tflite"


def command_line(
    program: str,
    flavour: Flavour,
    graph: str,
    *,
    threads: int,
    accelerator: Accelerator,
    warmups: int,
    warmup_min_s: float,
    runs: int,
    min_s: float,
    timeout_s: float,
) -> str:
    """The command that measures `graph`, each word quoted for a shell."""
    flags = {
        "graph": graph,
        "num_threads": threads,
        "warmup_runs": warmups,
        "warmup_min_secs": f"{warmup_min_s:g}",
        "num_runs": runs,
        "min_secs": f"{min_s:g}",
        # Their own limit would only cut a measurement short: `timeout` ends it instead, and says so.
        "max_secs": f"{2 * timeout_s + 1:g}",
        _ACCELERATOR_FLAGS[flavour, accelerator]: "true",
    }
    if accelerator != "cpu":
        flags["require_full_delegation"] = "true"
    words = [program, *(f"--{name}={value}" for name, value in flags.items())]
    return " ".join(shlex.quote(word) for word in words)


def read_output(output: str, *, runs: int, accelerator: Accelerator, allow_partial: bool = False) -> Summary:
    """The numbers in what benchmark_model printed before it ended with exit code 0.

    Raises DeviceError if the program did not follow its flags or its numbers cannot be read, ModelError if the
    accelerator took only a part of the model, or nothing shows that it took it.
    """
    if ignored := _IGNORED.search(output):
        flags = ignored[1].strip()
        raise DeviceError(f"benchmark_model ignored {flags}: bring another one with 'mnas devices setup'")
    note = check_delegation(output, accelerator, allow_partial)
    lines = _COUNT.findall(output)
    if not lines:
        raise DeviceError(f"benchmark_model printed no 'count=' line: {_last_line(output)}")
    # Both end with it: without it, the last line may be the warm-up's.
    if "Inference (avg)" not in output[output.rindex("count=") :]:
        raise DeviceError(f"benchmark_model ended before its summary: {_last_line(output)}")
    count, rest = int(lines[-1][0]), lines[-1][1]
    try:
        values = {name: float(value) for name, value in _VALUE.findall(rest)}
    except ValueError:
        raise DeviceError(f"benchmark_model printed numbers that cannot be read: count={count}{rest[:100]}") from None
    if count < runs:
        raise DeviceError(f"benchmark_model ran the model {count} times instead of {runs}")
    if count == 1 and "curr" in values:
        values = {"p5": values["curr"], "median": values["curr"], "p95": values["curr"]}
    missing = [name for name in ("p5", "median", "p95") if name not in values]
    if missing:
        raise DeviceError(f"this benchmark_model prints no {missing[0]}: bring a newer one with 'mnas devices setup'")
    p5, median, p95 = (values[name] / 1000 for name in ("p5", "median", "p95"))
    if not 0 < p5 <= median <= p95 < float("inf"):
        raise DeviceError(f"benchmark_model printed impossible numbers: p5={p5} median={median} p95={p95} ms")
    return Summary(count, median, p5, p95, note)


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"its last line: {lines[-1][:200]}" if lines else "it printed nothing"


def what_went_wrong(output: str) -> str:
    """The line of its output that best says why a run failed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR", "CANNOT LINK", "F ")) or "rror:" in line]
    return (errors or lines or ["it printed nothing"])[0 if errors else -1].removeprefix("ERROR: ")[:200]
