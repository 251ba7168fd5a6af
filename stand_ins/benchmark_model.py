"""`benchmark_model` of the stand-in phone: takes the real one's flags, runs the model, prints what the real one does.

`phone.binary` writes it out with a first line and FLAVOUR of its own. It imports as
little as it can: what it takes to start is time that no phone needs.
"""

import os
import sys
import time

STARTED = time.perf_counter()
FLAVOUR = "tflite"
STATE = os.environ.get("STAND_IN", ".")
COMMON = {
    "graph": "",
    "num_threads": "-1",
    "num_runs": "50",
    "min_secs": "1",
    "max_secs": "150",
    "warmup_runs": "1",
    "warmup_min_secs": "0.5",
    "use_gpu": "false",
    "require_full_delegation": "false",
    "enable_op_profiling": "false",
}
FLAGS = {
    "tflite": {"use_xnnpack": "true", "use_nnapi": "false", "profiling_output_csv_file": ""},
    "litert": {"use_cpu": "true", "use_npu": "false", "use_profiler": "false", "result_file_path": ""},
}
DELEGATES = {
    "tflite": {"use_gpu": "TfLiteGpuDelegateV2", "use_nnapi": "TfLiteNnapiDelegate"},
    "litert": {"use_gpu": "LITERT_CL", "use_npu": "DispatchDelegate"},
}


def say(text: str) -> None:
    print(text, flush=True)


def fault(name: str) -> bool:
    """Whether a fault is switched on; one that is to happen some times counts down."""
    path = os.path.join(STATE, "faults", name)  # noqa: PTH118  (pathlib takes as long to import as the rest)
    try:
        with open(path) as file:  # noqa: PTH123
            left = int(file.read())
    except OSError:
        return False
    if left == 1:
        os.unlink(path)  # noqa: PTH108
    elif left > 1:
        with open(path, "w") as file:  # noqa: PTH123
            file.write(str(left - 1))
    return True


def state(name: str, default: float) -> float:
    try:
        with open(os.path.join(STATE, name)) as file:  # noqa: PTH118, PTH123
            return float(file.read())
    except OSError:
        return default


def flags(arguments: list[str]) -> dict[str, str]:
    known = {**COMMON, **FLAGS[FLAVOUR]}
    if "--help" in arguments and fault("old"):
        say("ERROR: Please specify the name of your TF Lite input file with --graph")
        sys.exit(1)
    if "--help" in arguments:
        say("usage: benchmark_model <flags>\nFlags:")
        for name, value in known.items():
            say(f"\t--{name}={value}\tstring\toptional\t...")
        sys.exit(1)
    unknown = []
    for argument in arguments:
        name, _, value = argument.removeprefix("--").partition("=")
        if name in known:
            known[name] = value
        else:
            unknown.append(argument)
    if fault("ignored_flags"):
        unknown.append("--num_threads=1")
    if unknown:
        say(f"WARN: Unconsumed cmdline flags: {' '.join(unknown)}")
    return known


def percentile(ordered: list[float], percent: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def phase(invoke, runs: int, min_s: float, max_s: float) -> list[float]:
    """Times of the runs in microseconds. Their sum is what counts as time: scripted runs only say that they took it."""
    say(f"INFO: Running benchmark for at least {runs} iterations and at least {min_s:g} seconds but terminate if ")
    samples: list[float] = []
    total_us = 0.0
    while (len(samples) < runs or total_us < min_s * 1e6) and total_us <= max_s * 1e6:
        samples.append(invoke())
        total_us += samples[-1]
    ordered = sorted(samples)
    if len(samples) == 1:
        say(f"INFO: count=1 curr={samples[0]:.0f} p5={samples[0]:.0f} median={samples[0]:.0f} p95={samples[0]:.0f}")
    else:
        average = sum(samples) / len(samples)
        deviation = (sum((sample - average) ** 2 for sample in samples) / len(samples)) ** 0.5
        say(
            f"INFO: count={len(samples)} first={samples[0]:.0f} curr={samples[-1]:.0f} min={ordered[0]:.0f} "
            f"max={ordered[-1]:.0f} avg={average:g} std={deviation:.0f} p5={percentile(ordered, 5):.0f} "
            f"median={percentile(ordered, 50):.0f} p95={percentile(ordered, 95):.0f}\n"
        )
    return samples


def scripted(size: int):
    """Runs that take no time: a base and so much for each MB of the file, with a spread of 4 %."""
    us = 1000 * (state("scripted_ms", 0) + state("scripted_ms_per_mb", 0) * size / 1e6) * state("slow", 1)
    pattern = [0.98, 0.99, 1.0, 1.01, 1.02]
    count = iter(range(10**9))
    return lambda: us * pattern[next(count) % 5]


def real(content: bytes, threads: int):
    """Runs of the model in LiteRT on this machine, on a core of its own if the phone's shell pinned it to one."""
    mask = int(os.environ.get("STAND_IN_MASK", "0"), 16)
    usable = sorted(os.sched_getaffinity(0))
    if mask:
        os.sched_setaffinity(0, {usable[core % len(usable)] for core in range(64) if mask >> core & 1})
    import numpy
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    random = numpy.random.default_rng(0)
    for tensor in interpreter.get_input_details():
        interpreter.set_tensor(tensor["index"], random.uniform(-1, 1, tensor["shape"]).astype(tensor["dtype"]))
    slow = state("slow", 1)

    def invoke() -> float:
        before = time.perf_counter()
        interpreter.invoke()
        return (time.perf_counter() - before) * 1e6 * slow

    return invoke


def main() -> None:
    values = flags(sys.argv[1:])
    if fault("cannot_link"):
        print('CANNOT LINK EXECUTABLE "benchmark_model": library "libc++_shared.so" not found', file=sys.stderr)
        sys.exit(1)
    say("INFO: STARTING!")
    say(f"INFO: Graph: [{values['graph']}]")
    try:
        with open(values["graph"], "rb") as file:  # noqa: PTH123
            content = file.read()
    except OSError:
        say(f"ERROR: Could not open '{values['graph']}'.\nERROR: Failed to load model {values['graph']}")
        sys.exit(1)
    began = time.perf_counter()
    size = len(content)
    try:
        invoke = scripted(size) if state("scripted_ms", -1) >= 0 else real(content, max(1, int(values["num_threads"])))
    except Exception as error:
        say(f"ERROR: The model is not a valid Flatbuffer buffer: {type(error).__name__}: {str(error)[:200]}")
        say("ERROR: Failed to load model\nERROR: Benchmarking failed.")
        sys.exit(1)
    started = time.perf_counter()
    init_us = (started - began) * 1e6
    nodes = 106
    taken = 60 if fault("partial_delegation") else nodes
    chosen = [name for flag, name in DELEGATES[FLAVOUR].items() if values.get(flag) == "true"]
    delegate = chosen[0] if chosen else "TfLiteXNNPackDelegate"
    if values["require_full_delegation"] == "true" and taken < nodes:
        say("ERROR: Disallowed CPU fallback detected.\nERROR: Benchmarking failed.")
        sys.exit(1)
    if not fault("silent"):
        say(
            f"INFO: Replacing {taken} out of {nodes} node(s) with delegate ({delegate}) node, "
            "yielding 1 partitions for subgraph 0."
        )
    say(f"INFO: Initialized session in {init_us / 1000:.3f}ms.")
    for name, number in (("crash", 11), ("abort", 6)):  # SIGSEGV, SIGABRT
        if fault(name):
            os.kill(os.getpid(), number)
    if fault("hang"):
        time.sleep(3600)
    warm = phase(
        invoke, max(1, int(values["warmup_runs"])), float(values["warmup_min_secs"]), float(values["max_secs"])
    )
    samples = phase(invoke, int(values["num_runs"]), float(values["min_secs"]), float(values["max_secs"]))
    average = sum(samples) / len(samples)
    if FLAVOUR == "tflite":
        say(
            f"INFO: Inference timings in us: Init: {init_us:.0f}, First inference: {warm[0]:.0f}, "
            f"Warmup (avg): {sum(warm) / len(warm):g}, Inference (avg): {average:g}"
        )
    else:
        say(f"INFO: Inference (avg): {average / 1000:.2f} ms ({len(samples)} runs)")
    if path := os.environ.get("STAND_IN_TIMES"):
        # What the model itself took, and this program's start: for the benchmark of what adb adds.
        with open(path, "a") as file:  # noqa: PTH123
            file.write(f'{{"model_s": {(sum(warm) + sum(samples)) / 1e6}, "start_s": {started - STARTED}}}\n')


if __name__ == "__main__":
    main()
    os._exit(0)  # taking LiteRT and numpy down again takes 30 ms
