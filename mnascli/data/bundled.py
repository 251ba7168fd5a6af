"""The data set that comes with mnas: 10,000 images of Fashion-MNIST (see FASHION_MNIST_LICENSE.txt beside it)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mnascli.data.dataset import Split
from mnascli.data.split import digest, divide

FILE_PARTS = ("train", "validation", "test")
SELECTION = 100  # of each class
BUNDLED = Path(__file__).with_name("fashion_mnist_10k.npz")


def read_bundled() -> list[Split]:
    """Train (6,000), validation (1,500), test (1,500), selection (1,000); greyscale, 28x28.

    scripts/make_fashion_subset.py chose the images; the selection part is held out of the file's 7,000 for training.
    """
    with np.load(BUNDLED) as arrays:
        images = {part: arrays[f"{part}_images"][..., None] for part in FILE_PARTS}
        labels = {part: arrays[f"{part}_labels"].astype(np.int64) for part in FILE_PARTS}
    digests = [digest(image.tobytes()) for image in images["train"]]
    sizes = {label: [SELECTION] for label in range(10)}
    selection, train = (
        Split(images["train"][part], labels["train"][part]) for part in divide(digests, labels["train"].tolist(), sizes)
    )
    return [train, *(Split(images[part], labels[part]) for part in ("validation", "test")), selection]
