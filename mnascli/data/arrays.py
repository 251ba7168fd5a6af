"""The common types of all data sets: images, labels and floats as numpy arrays, and the error for bad ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mnascli.errors import MnasError

Images = npt.NDArray[np.uint8]  # (N, height, width, channels)
Labels = npt.NDArray[np.int64]  # (N,), from 0 to classes - 1
Floats = npt.NDArray[np.float32]


class DataError(MnasError):
    """Images that cannot be used: too few, unreadable, or not sorted into classes as they should be."""
