"""Running and reading .tflite files on this machine."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from mnascli.errors import UsageError

IDENTIFIER = b"TFL3"
PIECE = 64  # images that one interpreter takes at a time
OPERATOR_NAMES: dict[int, str] = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}
TYPE_NAMES: dict[int, str] = {code: name for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
WITH_WEIGHTS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}


class Runner:
    """A .tflite ready to run. Takes and gives floats whatever the file has inside: int8 is converted by its scale.

    Raises UsageError for a file that is no .tflite, or not one that takes one picture and gives one row of logits.
    """

    def __init__(self, path: Path | str, threads: int = 1) -> None:
        self.path = Path(path)
        self.input_shape = input_shape(path)
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise UsageError(f"{path}: LiteRT cannot run this model: {' '.join(str(error).split())}") from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1 or len(self.input_shape) != 4 or len(outputs[0]["shape"]) != 2:
            raise UsageError(f"{path}: not an image classifier: one picture in and one row of logits out were expected")
        self._image, self._logits = _Port(inputs[0]), _Port(outputs[0])
        self.classes = int(outputs[0]["shape"][-1])

    def predict(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits (N, classes) of images (N, size, size, channels), one after the other in their order, batch 1.

        Raises UsageError for images of another shape than the file's input.
        """
        if images.shape[1:] != self.input_shape[1:]:
            raise UsageError(f"{self.path}: takes images of shape {self.input_shape[1:]}, not {images.shape[1:]}")
        images = self._image.inside(images)
        rows: npt.NDArray[Any] = np.empty((len(images), self.classes), self._logits.type)
        set_tensor, invoke, get_tensor = (
            self._interpreter.set_tensor,
            self._interpreter.invoke,
            self._interpreter.get_tensor,
        )
        for row in range(len(images)):
            set_tensor(self._image.index, images[row : row + 1])
            invoke()
            rows[row] = get_tensor(self._logits.index)[0]
        return self._logits.outside(rows)


class _Port:
    """An input or output of the interpreter, and how its numbers stand for floats."""

    def __init__(self, details: dict[str, Any]) -> None:
        self.index: int = details["index"]
        self.type: type = details["dtype"]
        self.scale, self.zero = details["quantization"]

    def inside(self, values: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        if self.type is np.float32:
            return values
        limits = np.iinfo(self.type)
        levels: npt.NDArray[Any] = np.clip(np.round(values / self.scale) + self.zero, limits.min, limits.max)
        return levels.astype(self.type)

    def outside(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        if self.type is np.float32:
            return values
        return (values.astype(np.float32) - np.float32(self.zero)) * np.float32(self.scale)


def predict(path: Path | str, images: npt.NDArray[np.float32], threads: int = 1) -> npt.NDArray[np.float32]:
    """Logits (N, classes) of images (N, size, size, channels), one after the other in their order, batch 1.

    Raises UsageError for a file that is no .tflite, and for images of another shape than its input.
    """
    return Runner(path, threads).predict(images)


def predict_all(
    path: Path | str,
    images: Any,
    normalise: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]],
    workers: int,
) -> npt.NDArray[np.float32]:
    """Logits of pixels (N, size, size, channels), any N, by as many interpreters as there are `workers`.

    `images` is sliced piece by piece, so it may be on the disk. Threads serve, for LiteRT runs outside Python's lock;
    benchmarks/evaluate_tflite.py shows how well. Raises UsageError as `predict` does.
    """
    first = Runner(path)
    if len(images) == 0:
        return first.predict(np.empty((0, *first.input_shape[1:]), np.float32))
    runners: queue.SimpleQueue[Runner] = queue.SimpleQueue()
    for runner in (first, *(Runner(path) for _ in range(workers - 1))):
        runners.put(runner)

    def work(start: int) -> npt.NDArray[np.float32]:
        runner = runners.get()
        try:
            return runner.predict(normalise(images[start : start + PIECE]))
        finally:
            runners.put(runner)

    with ThreadPoolExecutor(workers) as pool:
        return np.concatenate(list(pool.map(work, range(0, len(images), PIECE))))


def input_shape(path: Path | str) -> tuple[int, ...]:
    """Shape of the first input, (1, size, size, channels). Raises UsageError for a file that is no .tflite."""
    graph = read_file(Path(path)).subgraphs[0]
    return tuple(int(size) for size in graph.tensors[graph.inputs[0]].shape)


def operators(path: Path | str) -> list[str]:
    """The builtin operators in the order of execution, as they stand in the file, before any delegate takes them.

    Raises UsageError for a file that is no .tflite.
    """
    return [operator.name for operator in typed_operators(path)]


class TypedOperator(NamedTuple):
    """An operator with the types it works in, such as INT8 and FLOAT32; `weights` is '' where it has none."""

    name: str
    activations: str
    weights: str
    output: str


def typed_operators(path: Path | str) -> list[TypedOperator]:
    """As `operators`, with types. Raises UsageError for a file that is no .tflite."""
    model = read_file(Path(path))
    graph = model.subgraphs[0]
    names = [OPERATOR_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    # Weights stand in the file, or come out of a DEQUANTIZE of what stands there (fp16).
    constant = {index for index, tensor in enumerate(graph.tensors) if _has_values(model, tensor)}
    listed = []
    for operator in graph.operators:
        inputs = [int(index) for index in operator.inputs if index >= 0]
        output = int(operator.outputs[0])
        if constant.issuperset(inputs):
            constant.add(output)
        types = [TYPE_NAMES[graph.tensors[index].type] for index in inputs]
        computed = [kind for index, kind in zip(inputs, types, strict=True) if index not in constant]
        weights = [kind for index, kind in zip(inputs[1:2], types[1:2], strict=True) if index in constant]
        name = names[operator.opcodeIndex]
        listed.append(
            TypedOperator(
                name,
                (computed or types)[0],
                weights[0] if weights and name in WITH_WEIGHTS else "",
                TYPE_NAMES[graph.tensors[output].type],
            )
        )
    return listed


def _has_values(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


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
        for buffer in model.buffers:
            # The quantizer leaves large constants behind the flatbuffer; here they stand where all others do.
            if buffer.data is None and buffer.offset > 1:
                buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
                buffer.offset = buffer.size = 0
    except Exception as error:  # flatbuffers reads past the end in many ways: struct, index and value errors among them
        raise UsageError(f"{path}: a damaged .tflite file; write or export it again") from error
    return model
