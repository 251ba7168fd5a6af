"""What took the nodes of a model, as the log of `benchmark_model` shows it: makers name delegates as they like.

    INFO: Replacing 246 out of 246 node(s) with delegate (LITERT_CL) node, yielding 1 partitions for subgraph 0.
    INFO: Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.

Older builds omit the 'out of', and the one partition says that nothing was left over. A log may name several delegates,
and break such a line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mnascli.devices.device import Accelerator, ModelError

# Words in their names, in lower case, without 'tflite', 'litert' and 'delegate'.
_NAMES: dict[Accelerator, frozenset[str]] = {
    "cpu": frozenset({"cpu", "xnnpack"}),
    "gpu": frozenset(
        {"gpu", "cl", "opencl", "gl", "gles", "opengl", "opengles", "metal", "vulkan", "webgpu", "mldrift", "cuda"}
        | {"adreno", "mali"}
    ),
    "npu": frozenset(
        {"npu", "nnapi", "dispatch", "dsp", "tpu"}  # LiteRT's 'dispatch' stands for those of all makers
        | {"qnn", "qualcomm", "hexagon", "htp", "hta", "snpe"}  # Qualcomm
        | {"neuron", "neuropilot", "mediatek", "mtk", "apu", "mdla"}  # MediaTek
        | {"enn", "eden", "samsung", "exynos"}  # Samsung
        | {"edgetpu", "darwinn", "googletensor"}  # Google
        | {"coreml", "ane"}  # Apple
        | {"hiai", "kirin", "ethos", "ethosu", "vx", "vsi", "timvx", "rknn", "openvino"}  # Huawei, Arm and others
    ),
}

UNSEEN = "benchmark_model does not log what XNNPACK took: it may not have run the model"

_REPLACED = re.compile(
    r"Replacing\s+(\d+)(?:\s+out\s+of\s+(\d+))?\s+nodes?(?:\(s\))?\s+with\s+delegate\s+\(((?:[^()]|\([^()]*\)){1,200})\)"
    r"(?:\s+node)?(?:,\s+yielding\s+(\d+)\s+partitions?)?",
    re.IGNORECASE,
)
_APPLIED = re.compile(
    r"applied\s+([\w -]{1,60}?)\s+delegate,?\s+and\s+the\s+model\s+graph\s+will\s+be\s+(completely|partially)\s+exec",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Delegated:
    """What one delegate took; `taken` and `nodes` are None if the log does not say how many, or out of how many."""

    name: str
    taken: int | None
    nodes: int | None
    whole: bool

    def __str__(self) -> str:
        if self.nodes is not None:
            return f"{self.name} takes only {self.taken} of its {self.nodes} nodes"
        return f"{self.name} takes only some of its nodes"


def delegated(log: str) -> list[Delegated]:
    """Every line of a log that reports a delegate, in order; one that took 0 nodes is omitted."""
    found = []
    for taken, nodes, name, partitions in _REPLACED.findall(log):
        whole = int(taken) >= int(nodes) if nodes else partitions == "1"
        found.append(Delegated(" ".join(name.split()), int(taken), int(nodes) if nodes else None, whole))
    for name, how in _APPLIED.findall(log):
        found.append(Delegated(name, None, None, how.lower() == "completely"))
    return found


def accelerator_of(name: str) -> Accelerator | None:
    """Where a delegate of that name runs, None for an unknown name."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    words = [word for word in words if word not in ("tf", "tflite", "lite", "rt", "litert", "delegate")]
    # 'CoreMl' and 'Open CL' are two words each, and one name.
    joined = ["".join(words[first:last]) for first in range(len(words)) for last in range(first + 1, len(words) + 1)]
    known = [accelerator for word in joined for accelerator, names in _NAMES.items() if word in names]
    # 'QNN GPU' is a GPU, driven by software that is named after an NPU.
    return "gpu" if "gpu" in known else next(iter(known), None)


def check_delegation(log: str, accelerator: Accelerator, allow_partial: bool) -> str:
    """A note on what the log does not show, '' if it shows that the accelerator ran the model.

    Raises ModelError if the accelerator took only part of the model and that is not allowed, or if nothing
    shows that it took any of it.
    """
    found = delegated(log)
    mine = [one for one in found if (accelerator_of(one.name) or "cpu") == accelerator]
    took = [one for one in mine if one.taken != 0]
    for one in took or mine:
        if not one.whole and not allow_partial:
            raise ModelError(f"{one} ('allow_partial_delegation: true' in the profile accepts that)", log)
    others = [one.name for one in found if one not in mine and one.taken != 0]
    if took or (accelerator == "cpu" and not others):
        return "" if took else UNSEEN
    seen = f"the log names {', '.join(dict.fromkeys(one.name for one in found))}" if found else "it logs no delegate"
    raise ModelError(f"nothing shows that the {accelerator} took it: {seen}", log)
