"""Files other than TFLite, made from the torch network itself and checked with the runtime that will run them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mnascli import paths
from mnascli.data.arrays import Floats
from mnascli.engine.export import model_card
from mnascli.engine.export.tflite import PARITY_IMAGES, spread
from mnascli.engine.models.find import find_model
from mnascli.engine.models.pictures import fitting_data
from mnascli.errors import MnasError
from mnascli.nets.network import Network
from mnascli.tflite.files import replacing
from mnascli.training.checkpoint import load_checkpoint
from mnascli.training.scoring import predict_logits

LIMIT = 1e-3  # largest difference of logits, relative to the largest, that float rounding explains


def export_checked(
    text: str,
    runs: Path,
    data: str | None,
    file: Path,
    write: Callable[[Network, Path], None],
    run: Callable[[Path, Floats], Floats],
    runtime: str,
) -> dict[str, Any]:
    """Write a model's weights with `write`, and keep the file if `run` gives the same outputs as the network.

    `run` gives the logits (N, classes) of normalised images (N, channels, size, size) in the runtime named `runtime`.
    Raises MnasError if the file cannot be written, or if its outputs differ.
    """
    model = find_model(text, runs)
    network, about = load_checkpoint(model.weights())
    dataset = fitting_data(model, data, network.architecture, about)
    paths.check_writable(file)
    images, _ = spread(dataset.validation, PARITY_IMAGES)
    expected = predict_logits(network, images, dataset)
    with tempfile.TemporaryDirectory(prefix="mnas") as folder:
        made = Path(folder) / file.name
        write(network, made)
        logits = run(made, dataset.normalise(images).transpose(0, 3, 1, 2))
        difference = float(np.abs(expected - logits).max())
        if not difference <= LIMIT * max(1.0, float(np.abs(expected).max())):
            raise MnasError(f"{file}: {runtime} differs from the trained network by up to {difference:.2g}: not kept")
        with replacing(file) as temporary:
            temporary.write_bytes(made.read_bytes())
    return {
        "file": str(file),
        "architecture": str(network.architecture),
        "runtime": runtime,
        "size_mb": file.stat().st_size / 1e6,
        "max_abs_difference": difference,
        "differing_predictions": int((expected.argmax(1) != logits.argmax(1)).sum()),
        "data": dataset.name,
        "parity_images": len(images),
        "input": model_card.pictures(about),
    }
