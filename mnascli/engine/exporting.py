"""The deployable file: converted by litert-torch, checked against the trained network, measured again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnascli.data import Dataset
from mnascli.engine.bench import Bench
from mnascli.engine.targets import median_ms
from mnascli.errors import MnasError
from mnascli.tflite.convert import convert
from mnascli.tflite.interpreter import predict
from mnascli.training.checkpoint import load_checkpoint
from mnascli.training.scoring import predict_logits

PARITY_IMAGES = 200
PARITY_LIMIT = 1e-3  # largest difference of logits that float rounding explains


def export(checkpoint: Path, file: Path, dataset: Dataset, benches: Sequence[Bench]) -> dict[str, Any]:
    """Convert a checkpoint to `file`; returns file, size, parity on validation images, latency by device.

    Raises MnasError where the file's answers differ from the network's: then no file is left behind.
    """
    network, _ = load_checkpoint(checkpoint)
    beside = file.with_name(f".{file.name}.unchecked")
    try:
        convert(network, network.architecture, beside)
        images = dataset.validation.images[:PARITY_IMAGES]
        expected = predict_logits(network, images, dataset)
        logits = predict(beside, dataset.normalise(images))
        difference = float(np.abs(expected - logits).max())
        if not difference <= PARITY_LIMIT:
            raise MnasError(
                f"{file}: the converted model differs from the trained network by up to {difference:.2g} on "
                f"{len(images)} images (limit {PARITY_LIMIT:g}); it was not kept"
            )
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
    return {
        "file": str(file),
        "size_mb": file.stat().st_size / 1e6,
        "max_abs_difference": difference,
        "differing_predictions": int((expected.argmax(1) != logits.argmax(1)).sum()),
        "parity_images": len(images),
        "latency_ms": {bench.name: median_ms(bench.measure_files([file])[0], str(file)) for bench in benches},
    }
