"""Running and reading .tflite files on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from mnascli.errors import UsageError

IDENTIFIER = b"TFL3"
OPERATOR_NAMES: dict[int, str] = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}


def predict(path: Path | str, images: npt.NDArray[np.float32], threads: int = 1) -> npt.NDArray[np.float32]:
    """Logits (N, classes) of images (N, size, size, channels), one after the other in their order, batch 1.

    Raises UsageError for a file that is no .tflite, and for images of another shape than its input.
    """
    path = Path(path)
    expected = input_shape(path)
    if images.shape[1:] != expected[1:]:
        raise UsageError(f"{path}: takes images of shape {expected[1:]}, not {images.shape[1:]}")
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise UsageError(f"{path}: LiteRT cannot run this model: {' '.join(str(error).split())}") from error
    image, logits = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    classes = int(interpreter.get_output_details()[0]["shape"][-1])
    predictions = np.empty((len(images), classes), np.float32)
    for row, picture in enumerate(images):
        interpreter.set_tensor(image, picture[np.newaxis])
        interpreter.invoke()
        predictions[row] = interpreter.get_tensor(logits)[0]
    return predictions


def input_shape(path: Path | str) -> tuple[int, ...]:
    """Shape of the first input, (1, size, size, channels). Raises UsageError for a file that is no .tflite."""
    graph = read_file(Path(path)).subgraphs[0]
    return tuple(int(size) for size in graph.tensors[graph.inputs[0]].shape)


def operators(path: Path | str) -> list[str]:
    """The builtin operators in the order of execution, as they stand in the file, before any delegate takes them.

    Raises UsageError for a file that is no .tflite.
    """
    model = read_file(Path(path))
    names = [OPERATOR_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    return [names[operator.opcodeIndex] for operator in model.subgraphs[0].operators]


def read_file(path: Path) -> Any:
    """The whole file as schema objects: the runtime itself can crash on a damaged one, so it is read through first.

    Raises UsageError for a file that is no .tflite.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    if content[4:8] != IDENTIFIER:
        raise UsageError(f"{path}: not a .tflite file")
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
        if not model.subgraphs[0].operators or len(model.subgraphs[0].inputs) == 0:
            raise ValueError("nothing to run")
    except Exception as error:  # flatbuffers reads past the end in many ways: struct, index and value errors among them
        raise UsageError(f"{path}: a damaged .tflite file; write or export it again") from error
    return model
