"""What is in a .tflite file: the graph, its operators and their types, before anything runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mnascli.errors import UsageError, reason

IDENTIFIER = b"TFL3"
OPERATOR_NAMES: dict[int, str] = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}
TYPE_NAMES: dict[int, str] = {code: name for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
WITH_WEIGHTS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}


def input_shape(path: Path | str) -> tuple[int, ...]:
    """Shape of the first input, (1, size, size, channels). Raises UsageError for a file that is not a .tflite."""
    graph = read_file(Path(path)).subgraphs[0]
    return tuple(int(size) for size in graph.tensors[graph.inputs[0]].shape)


def operators(path: Path | str) -> list[str]:
    """The builtin operators in the order of execution, as they are in the file, before any delegate takes them.

    Raises UsageError for a file that is not a .tflite.
    """
    return [operator.name for operator in typed_operators(path)]


class TypedOperator(NamedTuple):
    """An operator with the types it works in, such as INT8 and FLOAT32; `weights` is '' if it has none."""

    name: str
    activations: str
    weights: str
    output: str


def typed_operators(path: Path | str) -> list[TypedOperator]:
    """As `operators`, with types. Raises UsageError for a file that is not a .tflite."""
    model = read_file(Path(path))
    graph = model.subgraphs[0]
    names = operator_names(model)
    # Weights are in the file, or come out of a DEQUANTIZE of what is in it (fp16).
    constant = {index for index, tensor in enumerate(graph.tensors) if has_values(model, tensor)}
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


def operator_names(model: Any) -> list[str]:
    """What the operator codes of a file stand for, in their order."""
    return [OPERATOR_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]


def has_values(model: Any, tensor: Any) -> bool:
    """Whether a tensor's values are in the file."""
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def read_file(path: Path) -> Any:
    """The whole file as schema objects: the runtime itself can crash on a damaged one, so it is read completely first.

    Raises UsageError for a file that is not a .tflite.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {reason(error)}") from error
    if content[4:8] != IDENTIFIER:
        raise UsageError(f"{path}: not a .tflite file")
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
        if not model.subgraphs[0].operators or len(model.subgraphs[0].inputs) == 0:
            raise ValueError("nothing to run")
        for buffer in model.buffers:
            # The quantizer puts large constants after the flatbuffer; here they go where all others are.
            if buffer.data is None and buffer.offset > 1:
                buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
                buffer.offset = buffer.size = 0
    except Exception as error:  # flatbuffers reads past the end in many ways: struct, index and value errors among them
        raise UsageError(f"{path}: a damaged .tflite file; write or export it again") from error
    return model
