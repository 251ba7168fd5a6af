"""Published networks as architecture strings.

Sources: the official MnasNet code (tensorflow/tpu, models/official/mnasnet) and the papers of MobileNet.
"""

from __future__ import annotations

from mnascli.errors import UsageError
from mnascli.space.architecture import Architecture

ZOO: dict[str, str] = {
    "mnasnet-a1": (
        "ds_r1_k3_s1_c16_noskip,ir_r2_k3_s2_e6_c24,ir_r3_k5_s2_e3_c40_se0.25,ir_r4_k3_s2_e6_c80,"
        "ir_r2_k3_s1_e6_c112_se0.25,ir_r3_k5_s2_e6_c160_se0.25,ir_r1_k3_s1_e6_c320"
    ),
    "mnasnet-b1": (
        "ds_r1_k3_s1_c16_noskip,ir_r3_k3_s2_e3_c24,ir_r3_k5_s2_e3_c40,ir_r3_k5_s2_e6_c80,"
        "ir_r2_k3_s1_e6_c96,ir_r4_k5_s2_e6_c192,ir_r1_k3_s1_e6_c320_noskip"
    ),
    # The official code declares 16 input filters for the first block, so it adds no residual there although the
    # stem outputs 8: noskip.
    "mnasnet-small": (
        "stem_c8,ds_r1_k3_s1_c8_noskip,ir_r1_k3_s2_e3_c16,ir_r2_k3_s2_e6_c16,ir_r4_k5_s2_e6_c32_se0.25,"
        "ir_r3_k3_s1_e6_c32_se0.25,ir_r3_k5_s2_e6_c88_se0.25,ir_r1_k3_s1_e6_c144,head_d0"
    ),
    "mnasnet-d1": (
        "ir_r1_k3_s1_e9_c24,ir_r3_k3_s2_e9_c36,ir_r5_k3_s2_e9_c48,ir_r4_k5_s2_e9_c96,"
        "ir_r5_k7_s1_e3_c96,ir_r3_k3_s2_e9_c80,ir_r1_k7_s1_e6_c320_noskip"
    ),
    # Howard et al., 1704.04861, table 1: no residuals, and no convolution after the last block.
    "mobilenet-v1": (
        "dsa_r1_k3_s1_c64_noskip,dsa_r2_k3_s2_c128_noskip,dsa_r2_k3_s2_c256_noskip,dsa_r6_k3_s2_c512_noskip,"
        "dsa_r2_k3_s2_c1024_noskip,head_c0_d0.001,net_relu6"
    ),
    "mobilenet-v2": (
        "ds_r1_k3_s1_c16,ir_r2_k3_s2_e6_c24,ir_r3_k3_s2_e6_c32,ir_r4_k3_s2_e6_c64,"
        "ir_r3_k3_s1_e6_c96,ir_r3_k3_s2_e6_c160,ir_r1_k3_s1_e6_c320,head_grow,net_relu6_eps1e-05"
    ),
}


def load(name: str, width: float | None = None, size: int | None = None, classes: int | None = None) -> Architecture:
    """A published network, at another depth multiplier, input size (pixels) or number of classes if given.

    Raises UsageError for a name that is not in the zoo.
    """
    if name not in ZOO:
        raise UsageError(f"no model called {name!r}: the zoo has {', '.join(ZOO)}")
    return Architecture.parse(ZOO[name]).on(width=width, size=size, classes=classes)
