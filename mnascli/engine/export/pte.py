"""A trained network as a .pte file for ExecuTorch and XNNPACK, checked with ExecuTorch's runtime."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mnascli.data.arrays import Floats
from mnascli.engine.export.checked import export_checked
from mnascli.errors import MnasError
from mnascli.nets.network import Network
from mnascli.tflite.convert import quiet


def export_pte(text: str, runs: Path, data: str | None, file: Path) -> dict[str, Any]:
    """Write a model's weights as a .pte: method "forward", image (1, channels, size, size), normalised, to logits.

    Raises MnasError without the extra 'executorch', if the file cannot be written, or if its outputs differ.
    """
    with quiet():
        _import_executorch()
    return export_checked(text, runs, data, file, _write, _run, "ExecuTorch")


def _import_executorch() -> None:
    try:
        import executorch.backends.xnnpack.partition.xnnpack_partitioner
        import executorch.exir
        import executorch.runtime  # noqa: F401
    except ImportError as error:
        raise MnasError(
            f"--pte needs the extra 'executorch' ({error.name} is missing): pip install 'mnas[executorch]'"
        ) from error


def _write(network: Network, path: Path) -> None:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    architecture = network.architecture
    image = torch.zeros(1, architecture.channels, architecture.size, architecture.size)
    with warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")
        exported = torch.export.export(network.eval(), (image,))
        lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
        path.write_bytes(lowered.to_executorch().buffer)


def _run(path: Path, images: Floats) -> Floats:
    from executorch.runtime import Runtime

    with quiet():
        forward = Runtime.get().load_program(str(path)).load_method("forward")
        ones = (torch.from_numpy(np.ascontiguousarray(image))[None] for image in images)
        return np.concatenate([forward.execute([one])[0].numpy().copy() for one in ones])
