"""A float .tflite in smaller numbers, by ai-edge-quantizer.

int8: weights and activations, input and output, all in integers. dynamic: weights in int8, activations in float, which
the kernels turn into integers as they go. fp16: weights in half precision; a CPU turns them back when it loads them.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from mnascli.errors import MnasError, UsageError
from mnascli.tflite.files import replacing
from mnascli.tflite.quiet import quiet_runtime
from mnascli.tflite.reading import input_shape, read_file

Quantization = Literal["int8", "dynamic", "fp16"]
KINDS: tuple[Quantization, ...] = get_args(Quantization)
DEAD = 1e-4  # a range, zero included, that is narrower than this holds nothing
THREADS = 1  # of the calibration: the library's 16 would disturb whatever is measured on this machine


def quantize(
    model: Path | str, path: Path | str, images: npt.NDArray[np.float32] | None = None, kind: Quantization = "int8"
) -> Path:
    """Write the int8 version (or another kind) of the float file `model`; returns its path.

    `images`, (N, size, size, channels), normalised as in training, show int8 which values the activations take. Without
    them all are assumed to be between -1 and 1: the outputs are then worthless, the time is the same, and the bytes are
    the same every time.
    Raises UsageError if `model` is not a .tflite or the images do not fit it, MnasError if it cannot be quantized.
    """
    model, path = Path(model), Path(path)
    file = read_file(model)
    if images is not None and images.shape[1:] != input_shape(model)[1:]:
        raise UsageError(f"{model}: takes images of shape {input_shape(model)[1:]}, not {images.shape[1:]}")
    quantizer = _import_quantizer()
    quiet_runtime()
    try:
        work = quantizer.Quantizer(str(model), _recipe(kind))
        ranges = None
        if kind == "int8":
            ranges = _made_up_ranges(file) if images is None else _calibrate(work, file, images)
        content = work.quantize(ranges, enable_progress_bar=False, enable_progress_report=False).quantized_model
    except Exception as error:  # the library raises many kinds, none of them the user's fault
        reason = next(iter(str(error).splitlines()), "")
        raise MnasError(f"{model}: cannot be quantized: {type(error).__name__}: {reason}") from error
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def _recipe(kind: Quantization) -> Any:
    from ai_edge_quantizer import algorithm_manager, qtyping, recipe, recipe_manager

    if kind == "int8":
        return recipe.static_wi8_ai8()
    if kind == "dynamic":
        return recipe.dynamic_wi8_afp32()
    recipes = recipe_manager.RecipeManager()
    recipes.add_quantization_config(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        op_config=qtyping.OpQuantizationConfig(
            weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        ),
        algorithm_key=algorithm_manager.AlgorithmName.FLOAT_CASTING,
    )
    return recipes.get_quantization_recipe()


def _made_up_ranges(file: Any) -> dict[str, dict[str, npt.NDArray[np.float32]]]:
    """The same range for every computed tensor: far from the scales that XNNPACK refuses."""
    low, high = np.full((1, 1, 1, 1), -1, np.float32), np.full((1, 1, 1, 1), 1, np.float32)
    return {name: {"min": low, "max": high} for name in _computed(file)}


def _computed(file: Any) -> list[str]:
    """The tensors that are not constants."""
    return [tensor.name.decode() for tensor in file.subgraphs[0].tensors if file.buffers[tensor.buffer].data is None]


def _calibrate(work: Any, file: Any, images: npt.NDArray[np.float32]) -> Any:
    """The ranges that the activations take on these images."""
    signature = file.signatureDefs[0]
    name = signature.inputs[0].name.decode()
    samples = [{name: image[np.newaxis]} for image in images]
    ranges = work.calibrate({signature.signatureKey.decode(): samples}, num_threads=THREADS)
    for tensor in _computed(file):
        of = ranges.get(tensor)
        # A tensor that is zero for all images, as after a dead ReLU, would get a scale so small that the biases after
        # it overflow, and XNNPACK refuses the file.
        if of is not None and max(np.max(of["max"]), 0) - min(np.min(of["min"]), 0) < DEAD:
            of["max"] = of["max"] + np.float32(1)
    return ranges


class _NoBar:
    """Replaces the library's progress bars, some of which cannot be turned off."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update_single_step(self) -> None:
        pass


def _import_quantizer() -> Any:
    """The library's module, made silent; imported here because that takes half a second."""
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer.utils import progress_utils

    progress_utils.ProgressBar = _NoBar
    # Warnings about single tensors: nothing that a user could do something about.
    warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors.*")
    return quantizer
