"""Data sets: the bundled one, the full Fashion-MNIST, any folder of images. Imports numpy and Pillow on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnascli.data.arrays import DataError
    from mnascli.data.dataset import Dataset, Split
    from mnascli.data.loading import load

__all__ = ["DataError", "Dataset", "Split", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "load":
        from mnascli.data.loading import load

        return load
    from mnascli.data import arrays, dataset

    return getattr(arrays if name == "DataError" else dataset, name)
