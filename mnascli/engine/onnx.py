"""A trained network as an .onnx file, checked with onnxruntime: for boards and servers that LiteRT is not for."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mnascli.data.dataset import Floats
from mnascli.engine.exporting import PARITY_IMAGES, spread, writable
from mnascli.engine.model_data import fitting_data
from mnascli.engine.models import find_model
from mnascli.errors import MnasError
from mnascli.nets.network import Network
from mnascli.tflite.files import replacing
from mnascli.training.checkpoint import load_checkpoint
from mnascli.training.scoring import predict_logits

LIMIT = 1e-3  # largest difference of logits, relative to the largest, that float rounding explains


def export_onnx(text: str, runs: Path, data: str | None, file: Path) -> dict[str, Any]:
    """Write a model's weights as ONNX: input "image" (batch, channels, size, size), normalised, output "logits".

    Raises MnasError without the extra 'onnx', where the file cannot be written, or where its answers differ.
    """
    onnxruntime = _import_onnxruntime()
    model = find_model(text, runs)
    network, about = load_checkpoint(model.weights())
    dataset = fitting_data(model, data, network.architecture, about)
    writable(file)
    images, _ = spread(dataset.validation, PARITY_IMAGES)
    expected = predict_logits(network, images, dataset)
    with tempfile.TemporaryDirectory(prefix="mnas") as folder:
        made = Path(folder) / "model.onnx"
        _write(network, made)
        logits = _run(onnxruntime, made, dataset.normalise(images).transpose(0, 3, 1, 2))
        difference = float(np.abs(expected - logits).max())
        if not difference <= LIMIT * max(1.0, float(np.abs(expected).max())):
            raise MnasError(f"{file}: onnxruntime differs from the trained network by up to {difference:.2g}: not kept")
        with replacing(file) as temporary:
            temporary.write_bytes(made.read_bytes())
    return {
        "file": str(file),
        "architecture": str(network.architecture),
        "size_mb": file.stat().st_size / 1e6,
        "max_abs_difference": difference,
        "differing_predictions": int((expected.argmax(1) != logits.argmax(1)).sum()),
        "parity_images": len(images),
    }


def _import_onnxruntime() -> Any:
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MnasError(f"--onnx needs the extra 'onnx' ({error.name} is missing): pip install 'mnas[onnx]'") from error
    return onnxruntime


def _write(network: Network, path: Path) -> None:
    """The network in evaluation mode as ONNX, for any batch, all in one file; what the exporter prints is dropped."""
    architecture = network.architecture
    image = torch.zeros(2, architecture.channels, architecture.size, architecture.size)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (image,),
            str(path),
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _run(onnxruntime: Any, path: Path, images: Floats) -> Floats:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batches = (images[start : start + 100] for start in range(0, len(images), 100))
    return np.concatenate([session.run(["logits"], {"image": np.ascontiguousarray(batch)})[0] for batch in batches])
