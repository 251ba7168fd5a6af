"""A data set that is learnt in seconds: bright bars at one of three places."""

from __future__ import annotations

import numpy as np

from mnascli import nets
from mnascli.data.dataset import Dataset, Split, from_arrays
from mnascli.space import Architecture

TINY = "stem_s1_c8,ds_r1_k3_s2_c8,ir_r2_k3_s2_e2_c8_se0.25,head_c16_d0.2,net_i12_ch1_o3"


def bars(images: int, seed: int, classes: int = 3) -> Split:
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    pixels = rng.integers(0, 120, (images, 12, 12, 1))
    for index, label in enumerate(labels):
        pixels[index, 4 * label : 4 * label + 3] += 120
    return Split(pixels.astype(np.uint8), labels.astype(np.int64))


def tiny_data() -> Dataset:
    return from_arrays("bars", ["top", "middle", "bottom"], [bars(96, 0), bars(48, 1), bars(48, 2), bars(48, 3)])


def tiny_network(seed: int = 0):
    return nets.build(Architecture.parse(TINY), seed)
