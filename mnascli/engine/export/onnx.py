"""A trained network as an .onnx file, checked with onnxruntime: for boards and servers that LiteRT does not serve."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mnascli.data.arrays import Floats
from mnascli.engine.export.checked import export_checked
from mnascli.errors import MnasError
from mnascli.nets.network import Network


def export_onnx(text: str, runs: Path, data: str | None, file: Path) -> dict[str, Any]:
    """Write a model's weights as ONNX: input "image" (batch, channels, size, size), normalised, output "logits".

    Raises MnasError without the extra 'onnx', if the file cannot be written, or if its outputs differ.
    """
    onnxruntime = _import_onnxruntime()
    return export_checked(
        text, runs, data, file, _write, lambda path, images: _run(onnxruntime, path, images), "onnxruntime"
    )


def _import_onnxruntime() -> Any:
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MnasError(f"--onnx needs the extra 'onnx' ({error.name} is missing): pip install 'mnas[onnx]'") from error
    return onnxruntime


def _write(network: Network, path: Path) -> None:
    """The network in evaluation mode as ONNX, for any batch, all in one file; what the exporter prints is discarded."""
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
