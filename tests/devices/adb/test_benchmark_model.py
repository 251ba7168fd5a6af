"""The command line of benchmark_model, and what it prints, in both flavours."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnascli.devices.adb.benchmark_model import command_line, flavour_of, read_output, what_went_wrong
from mnascli.devices.device import DeviceError, ModelError

HOW: dict[str, Any] = {
    "threads": 1,
    "accelerator": "cpu",
    "warmups": 10,
    "warmup_min_s": 0.5,
    "runs": 50,
    "min_s": 1.0,
    "timeout_s": 120.0,
}

TFLITE = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Min num runs: [50]
INFO: Num threads: [1]
INFO: Graph: [/data/local/tmp/m.tflite]
INFO: Loaded model /data/local/tmp/m.tflite
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
VERBOSE: Replacing 106 out of 106 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 partitions.
INFO: The input model file size (MB): 15.6
INFO: Initialized session in 5.579ms.
INFO: Running benchmark for at least 10 iterations and at least 0.5 seconds but terminate if exceeding 241 seconds.
INFO: count=10 first=1400000 curr=1240000 avg=1.25e+06 std=9 p5=1230000 median=1240000 p95=1400000

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 241 seconds.
INFO: count=50 first=1249964 curr=1241000 min=1236001 avg=1.24027e+06 std=2565 p5=1237006 median=1239807 p95=1245098

INFO: Inference timings in us: Init: 5579, First inference: 1400000, Warmup (avg): 1.2e+06, Inference (avg): 1.2e+06
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE.
"""

LITERT = """\
INFO: [benchmark_litert_model.cc] Replacing 5 out of 5 node(s) with delegate (TfLiteXNNPackDelegate) node
count=1085 first=512 curr=455 min=430 max=900 avg=460.1 std=20 p5=440 median=455 p95=500
count=2112 first=470 curr=470 min=430 max=999 avg=461.5 std=21 p5=441 median=456 p95=503
INFO: ========== BENCHMARK RESULTS ==========
INFO: Inference (avg): 0.46 ms (2112 runs)
"""


def read(output: str, **changed: Any) -> Any:
    return read_output(output, **{"runs": 50, "accelerator": "cpu", **changed})


@pytest.mark.parametrize(
    ("output", "runs", "numbers"),
    [(TFLITE, 50, (1239.807, 1237.006, 1245.098)), (LITERT, 2112, (0.456, 0.441, 0.503))],
)
def test_the_last_count_line_counts(output: str, runs: int, numbers: tuple[float, ...]) -> None:
    summary = read(output)
    assert summary.runs == runs
    assert (summary.median_ms, summary.p5_ms, summary.p95_ms) == pytest.approx(numbers)


def test_a_single_run_has_only_its_own_time() -> None:
    summary = read("count=1 curr=512 p5=0 median=0 p95=0\nInference (avg): 0.51 ms (1 runs)", runs=1)
    assert (summary.runs, summary.median_ms, summary.p5_ms, summary.p95_ms) == (1, 0.512, 0.512, 0.512)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            "WARN: Unconsumed cmdline flags: --use_cpu=true --x\n" + TFLITE,
            "ignored --use_cpu=true --x:",
        ),
        ("", "printed no 'count=' line: it printed nothing"),
        ("INFO: STARTING!\n", "printed no 'count=' line: its last line: INFO: STARTING!"),
        (TFLITE.rpartition("INFO: Inference")[0], "ended before its summary"),
        (TFLITE[: TFLITE.index("INFO: count=50")], "ended before its summary"),
        ("count=49 first=1 curr=1 p5=1 median=1 p95=1", "ran the model 49 times instead of 50"),
        ("count=50 first=1 curr=2 min=1 max=2 avg=1.5 std=1", "prints no p5: bring a newer one"),
        ("count=50 p5=0 median=1 p95=2", "impossible numbers"),
        ("count=50 p5=3 median=1 p95=2", "impossible numbers"),
        ("count=50 p5=1 median=1-2 p95=2", "numbers that cannot be read"),
        ("count=50 p5=1 median=1 p95=1e999", "impossible numbers"),
    ],
)
def test_numbers_that_are_not_to_be_used(output: str, message: str) -> None:
    summary = "\nInference (avg): 1 ms" if output.startswith("count=") else ""
    with pytest.raises(DeviceError, match=message) as caught:
        read(output + summary)
    assert "\n" not in str(caught.value)


def test_a_delegate_that_takes_a_part_is_an_error_unless_that_is_allowed() -> None:
    partial = TFLITE.replace("106 out of", "60 out of")
    with pytest.raises(ModelError, match="TfLiteXNNPackDelegate takes only 60 of its 106 nodes") as caught:
        read(partial)
    assert caught.value.log == partial
    assert read(partial, allow_partial=True).runs == 50


def test_an_accelerator_must_show_that_it_took_the_model() -> None:
    with pytest.raises(ModelError, match="nothing shows that the gpu took it"):
        read(TFLITE, accelerator="gpu")
    gpu = TFLITE.replace("TfLiteXNNPackDelegate", "TfLiteGpuDelegateV2")
    assert read(gpu, accelerator="gpu").runs == 50
    with pytest.raises(ModelError, match="nothing shows that the npu took it"):
        read(gpu, accelerator="npu")
    with pytest.raises(ModelError, match="takes only 60"):
        read(gpu.replace("106 out", "60 out"), accelerator="gpu")


def log(*delegates: str) -> str:
    """The output of a run whose log has these lines instead of XNNPACK's."""
    line = (
        "VERBOSE: Replacing 106 out of 106 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 partitions.\n"
    )
    assert line in TFLITE
    return TFLITE.replace(line, "".join(f"{one}\n" for one in delegates))


def replaced(name: str, taken: int = 246, nodes: int = 246) -> str:
    return f"INFO: Replacing {taken} out of {nodes} node(s) with delegate ({name}) node, yielding 1 partitions."


GPU = [
    "LITERT_CL",
    "LITERT_GL",
    "LITERT_METAL",
    "LITERT_VULKAN",
    "LITERT_WEBGPU",
    "TfLiteGpuDelegateV2",
    "MetalDelegate",
]
GPU += ["OpenCL", "Open CL", "OpenGL", "ML Drift CL", "QNN GPU"]
NPU = ["TfLiteNnapiDelegate", "DispatchDelegate", "LITERT_NPU", "TfLiteQnnDelegate", "QNN_HTP", "TfLiteHexagonDelegate"]
NPU += ["EdgeTpuDelegate", "TfLiteCoreMlDelegate", "CoreMLDelegate", "NeuronDelegate", "MTKNeuron", "Samsung ENN"]
NPU += ["EnnDelegate", "VxDelegate", "LITERT_GOOGLE_TENSOR", "TfLiteQnnDelegate (HTP)"]


@pytest.mark.parametrize(("accelerator", "name"), [("gpu", one) for one in GPU] + [("npu", one) for one in NPU])
def test_delegates_are_known_by_the_names_of_their_makers(accelerator: Any, name: str) -> None:
    whole = log(replaced(name))
    assert read(whole, accelerator=accelerator).note == ""
    for other in {"cpu", "gpu", "npu"} - {accelerator}:
        with pytest.raises(ModelError, match=f"nothing shows that the {other} took it: the log names"):
            read(whole, accelerator=other)
    with pytest.raises(ModelError, match="takes only 240 of its 246 nodes"):
        read(log(replaced(name, 240)), accelerator=accelerator)
    with pytest.raises(ModelError, match="takes only 0 of its 246 nodes"):
        read(log(replaced(name, 0)), accelerator=accelerator)


@pytest.mark.parametrize(
    ("lines", "accelerator", "says"),
    [
        ([replaced("LITERT_CL", 240), replaced("TfLiteXNNPackDelegate", 6, 7)], "gpu", "LITERT_CL takes only 240"),
        ([replaced("LITERT_CL", 240), replaced("TfLiteXNNPackDelegate", 6, 7)], "cpu", "Delegate takes only 6 of"),
        ([replaced("LITERT_GL", 0), replaced("LITERT_CL")], "gpu", ""),
        ([replaced("LITERT_CL"), replaced("TfLiteXNNPackDelegate", 0, 1)], "gpu", ""),
        ([replaced("LITERT_CL"), replaced("LITERT_CL", 3, 9)], "gpu", "LITERT_CL takes only 3 of its 9"),  # subgraphs
        ([replaced("DispatchDelegate", 200), replaced("LITERT_CL", 46, 47)], "npu", "takes only 200"),
        ([replaced("TfLiteXNNPackDelegate")], "gpu", "the log names TfLiteXNNPackDelegate"),
        ([replaced("SomeDelegate")], "npu", "the log names SomeDelegate"),
        ([replaced("SomeDelegate")], "cpu", ""),
        ([], "gpu", "it logs no delegate"),
        (
            ["Replacing 246 out of", "246 node(s) with delegate", "(LITERT_CL) node,", "yielding 1 partitions"],
            "gpu",
            "",
        ),
        (["Replacing 24 out of", "246 node(s)", "with delegate (LITERT_CL)"], "gpu", "takes only 24 of its 246"),
        (["Replacing 61 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 1 partitions."], "gpu", ""),
        (
            ["Replacing 61 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 3 partitions."],
            "gpu",
            "only some of",
        ),
        (["Explicitly applied GPU delegate, and the model graph will be completely executed by the d"], "gpu", ""),
        (["Explicitly applied GPU delegate, and the model graph will be partially executed by the d"], "gpu", "some"),
        (["Explicitly applied NNAPI delegate, and the model graph will be completely executed by the"], "gpu", "NNAPI"),
    ],
)
def test_what_a_log_shows_of_delegates(lines: list[str], accelerator: Any, says: str) -> None:
    if not says:
        assert read(log(*lines), accelerator=accelerator).runs == 50
        return
    with pytest.raises(ModelError, match=says) as caught:
        read(log(*lines), accelerator=accelerator)
    assert "\n" not in str(caught.value)


def test_a_cpu_build_that_logs_no_delegate_is_noted() -> None:
    assert "may not have run" in read(log()).note
    assert read(TFLITE).note == read(LITERT).note == ""


@pytest.mark.parametrize(
    ("flavour", "accelerator", "flags"),
    [
        ("tflite", "cpu", ["--use_xnnpack=true"]),
        ("litert", "cpu", ["--use_cpu=true"]),
        ("tflite", "gpu", ["--use_gpu=true", "--require_full_delegation=true"]),
        ("litert", "npu", ["--use_npu=true", "--require_full_delegation=true"]),
    ],
)
def test_flags(flavour: Any, accelerator: Any, flags: list[str]) -> None:
    words = shlex.split(command_line("./b", flavour, "m.tflite", **{**HOW, "accelerator": accelerator}))
    assert words[:2] == ["./b", "--graph=m.tflite"]
    assert {"--num_threads=1", "--warmup_runs=10", "--warmup_min_secs=0.5", "--num_runs=50", "--min_secs=1"} <= {*words}
    assert words[-len(flags) :] == flags


def test_the_flavour_is_told_by_the_usage() -> None:
    assert flavour_of("Flags:\n\t--num_runs=50\tint32\n\t--use_xnnpack=true") == "tflite"
    assert flavour_of("Flags:\n\t--num_runs=50\tint32\n\t--use_npu=false") == "litert"
    with pytest.raises(DeviceError, match="not a benchmark_model: --help gave: it printed nothing"):
        flavour_of("\n")


def test_the_line_that_tells_most() -> None:
    assert what_went_wrong("INFO: x\nERROR: Could not open 'm'.\nINFO: y") == "Could not open 'm'."
    assert what_went_wrong("Segmentation fault") == "Segmentation fault"
    assert what_went_wrong("") == "it printed nothing"


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
@settings(max_examples=60)
def test_a_file_name_can_never_become_a_command(name: str) -> None:
    """Through the shell, and through the second one that pins: the program gets the name as it is."""
    show = Path(__file__).parents[3] / "stand_ins" / "show_arguments.sh"
    command = command_line(str(show), "tflite", name, **HOW)
    for script in (command, f"sh -c {shlex.quote(f'exec timeout 9 {command}')}"):
        done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True)
        assert done.stdout.startswith(f"--graph={name}".encode() + b"\0--num_threads=1\0")
        assert done.stderr == b""


@given(st.text(max_size=100), st.sampled_from([TFLITE, LITERT]), st.integers(0, 900))
def test_any_output_is_read_or_refused(noise: str, output: str, cut: int) -> None:
    """Damaged or cut short: numbers as they are printed, or an error, never something else."""
    try:
        summary = read(output[:cut] + noise)
    except DeviceError as error:
        assert str(error)
        return
    assert summary.runs >= 50 and 0 < summary.p5_ms <= summary.median_ms <= summary.p95_ms
