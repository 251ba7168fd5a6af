"""Make mnascli/data/fashion_mnist_10k.npz out of Debian's package dataset-fashion-mnist.

7,000 training and 1,500 validation images come from the original's training part, 1,500 test images from its test part,
the same number of each class. Which ones is decided by their digests alone, so every run writes the same bytes.

    python scripts/make_fashion_subset.py [--source FOLDER] [--output FILE]
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from mnascli.data.bundled import BUNDLED
from mnascli.data.fashion import DEBIAN_FOLDER, read_parts
from mnascli.data.split import digest, divide

TRAIN, VALIDATION, TEST = 700, 150, 150  # of each class


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=DEBIAN_FOLDER, help="folder of the four *-ubyte.gz files")
    parser.add_argument("--output", type=Path, default=BUNDLED)
    arguments = parser.parse_args()
    (images, labels), (test_images, test_labels) = read_parts(arguments.source)
    test_digests = [digest(image.tobytes()) for image in test_images]
    test = divide(test_digests, test_labels.tolist(), {label: [TEST] for label in range(10)})[0]
    in_test = {test_digests[index] for index in test}
    # An image of the training part that stands in the test part too is left out.
    fresh = [index for index, image in enumerate(images) if digest(image.tobytes()) not in in_test]
    digests = [digest(images[index].tobytes()) for index in fresh]
    parts = divide(digests, labels[fresh].tolist(), {label: [VALIDATION, TRAIN] for label in range(10)})
    validation, train = (np.array(fresh)[part] for part in parts[:2])
    arrays = {
        "train_images": images[train],
        "train_labels": labels[train],
        "validation_images": images[validation],
        "validation_labels": labels[validation],
        "test_images": test_images[test],
        "test_labels": test_labels[test],
    }
    np.savez_compressed(arguments.output, **arrays)
    for part in ("train", "validation", "test"):
        print(f"{part}: {sorted(Counter(arrays[f'{part}_labels'].tolist()).items())}")
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
