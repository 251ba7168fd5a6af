"""Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017) from its four original files, as Debian installs them."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mnascli.data.arrays import DataError, Images
from mnascli.data.dataset import Split
from mnascli.data.split import digest, divide
from mnascli.errors import UsageError

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
FILES = tuple(f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
VALIDATION_SHARE = 1 / 12  # 5,000 of the 60,000 training images, and as many for the selection part


def read_fashion(folder: Path) -> list[Split]:
    """Train, validation, test and selection; greyscale, 28x28. What is not test is held out of the original's train."""
    (images, labels), (test_images, test_labels) = read_parts(folder)
    counts = np.bincount(labels)
    sizes = {label: [round(count * VALIDATION_SHARE)] * 2 for label, count in enumerate(counts.tolist())}
    validation, selection, train = divide([digest(image.tobytes()) for image in images], labels.tolist(), sizes)
    return [
        Split(images[train][..., None], labels[train].astype(np.int64)),
        Split(images[validation][..., None], labels[validation].astype(np.int64)),
        Split(test_images[..., None], test_labels.astype(np.int64)),
        Split(images[selection][..., None], labels[selection].astype(np.int64)),
    ]


def read_parts(folder: Path) -> tuple[tuple[Images, Images], tuple[Images, Images]]:
    """(images (N, 28, 28), labels (N,)) of the original's training and test part. Raises UsageError, DataError."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise UsageError(
            f"{folder}: no {missing[0]} there: install Debian's dataset-fashion-mnist, "
            "or give the folder of the four files as fashion-mnist:FOLDER"
        )
    train_images, train_labels, test_images, test_labels = (_read_idx(folder / name) for name in FILES)
    for images, labels in ((train_images, train_labels), (test_images, test_labels)):
        if images.ndim != 3 or images.shape[1:] != (28, 28) or labels.shape != images.shape[:1] or labels.max() > 9:
            raise DataError(f"{folder}: not Fashion-MNIST: images {images.shape}, labels {labels.shape}")
    return (train_images, train_labels), (test_images, test_labels)


def _read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """The array of bytes in a gzipped IDX file: magic (0, 0, 8, dimensions), big-endian sizes, data."""
    try:
        data = gzip.decompress(path.read_bytes())
        zero, kind, dimensions = struct.unpack_from(">HBB", data)
        shape = struct.unpack_from(f">{dimensions}I", data, 4)
        if (zero, kind) != (0, 8):
            raise ValueError("not an IDX file of bytes")
        return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise DataError(f"{path}: cannot be read, get the file again: {error}") from error
