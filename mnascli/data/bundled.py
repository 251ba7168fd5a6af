"""The data set that comes with mnas: 10,000 images of Fashion-MNIST (see FASHION_MNIST_LICENSE.txt beside it)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mnascli.data.dataset import PARTS, Split

BUNDLED = Path(__file__).with_name("fashion_mnist_10k.npz")


def read_bundled() -> list[Split]:
    """Train (7,000), validation (1,500), test (1,500); greyscale, 28x28; scripts/make_fashion_subset.py chose them."""
    with np.load(BUNDLED) as arrays:
        return [Split(arrays[f"{part}_images"][..., None], arrays[f"{part}_labels"].astype(np.int64)) for part in PARTS]
