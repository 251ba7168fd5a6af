"""TFLite files: written straight from an architecture's layers, converted from torch, and run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnascli.space.architecture import Architecture


def write(
    architecture: Architecture, path: Path | str, weights: Mapping[str, Any] | None = None, seed: int = 0
) -> Path:
    """An architecture as a float .tflite file in milliseconds; see `mnascli.tflite.writer.write`."""
    from mnascli.tflite import writer

    return writer.write(architecture, path, weights, seed)
