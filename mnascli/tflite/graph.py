"""Tensors and operators of one TFLite graph, and their bytes.

Built with the schema classes that ai-edge-litert ships (TensorFlow Lite schema, version 3).
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

# What litert-torch writes: older runtimes lack the fully connected operator's `keepNumDims`.
MIN_RUNTIME_VERSION = b"2.0.0"
OPERATOR_VERSIONS = {schema.BuiltinOperator.FULLY_CONNECTED: 5}
BUFFER_ALIGNMENT = 16
SIGNATURE = "serving_default"


class Graph:
    """A graph that grows operator by operator; tensors are referred to by their index."""

    def __init__(self) -> None:
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[int, int] = {}
        # In the schema, buffer 0 is empty and belongs to all computed tensors.
        self._buffers = [Buffer()]

    def tensor(self, name: str, shape: tuple[int, ...]) -> int:
        """A float tensor that is an input or is computed."""
        return self._add_tensor(name, shape, schema.TensorType.FLOAT32, buffer=0)

    def constant(self, name: str, values: npt.NDArray[np.float32] | npt.NDArray[np.int32]) -> int:
        """A tensor with fixed values, float32 or int32."""
        kind = schema.TensorType.INT32 if values.dtype == np.int32 else schema.TensorType.FLOAT32
        return self._add_tensor(name, values.shape, kind, self._add_buffer(values.tobytes()))

    def operator(
        self, code: int, inputs: list[int], name: str, shape: tuple[int, ...], options: Any | None = None
    ) -> int:
        """Append a builtin operator; returns its output, a new float tensor."""
        output = self.tensor(name, shape)
        operator = schema.OperatorT(
            opcodeIndex=self._codes.setdefault(code, len(self._codes)), inputs=inputs, outputs=[output]
        )
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
            operator.builtinOptions = options
        self._operators.append(operator)
        return output

    def shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(int(size) for size in self._tensors[tensor].shape)

    def rename(self, tensor: int, name: str) -> None:
        self._tensors[tensor].name = name

    def to_bytes(self, inputs: dict[str, int], outputs: dict[str, int]) -> bytes:
        """The .tflite file; `inputs` and `outputs` name the tensors in the signature `serving_default`."""
        version = self._add_buffer(MIN_RUNTIME_VERSION.ljust(16, b"\0"))
        signature = schema.SignatureDefT(
            inputs=[schema.TensorMapT(name=name, tensorIndex=index) for name, index in inputs.items()],
            outputs=[schema.TensorMapT(name=name, tensorIndex=index) for name, index in outputs.items()],
            signatureKey=SIGNATURE,
            subgraphIndex=0,
        )
        main = schema.SubGraphT(
            tensors=self._tensors,
            inputs=list(inputs.values()),
            outputs=list(outputs.values()),
            operators=self._operators,
            name="main",
        )
        model = schema.ModelT(
            version=3,
            operatorCodes=[_operator_code(code) for code in self._codes],
            subgraphs=[main],
            description="mnas",
            buffers=self._buffers,
            metadata=[schema.MetadataT(name="min_runtime_version", buffer=version)],
            signatureDefs=[signature],
        )
        return pack(model)

    def _add_tensor(self, name: str, shape: tuple[int, ...], kind: int, buffer: int) -> int:
        tensor = schema.TensorT(
            name=name,
            shape=np.array(shape, np.int32),
            type=kind,
            buffer=buffer,
            quantization=schema.QuantizationParametersT(),
            hasRank=True,
        )
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _add_buffer(self, content: bytes) -> int:
        self._buffers.append(Buffer(content))
        return len(self._buffers) - 1


class Buffer:
    """Bytes of a constant. The schema demands a 16-byte alignment that its own Python classes do not keep."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = content

    def Pack(self, builder: Any) -> int:
        if self.content:
            builder.StartVector(1, len(self.content), BUFFER_ALIGNMENT)
            builder.head -= len(self.content)
            builder.Bytes[builder.head : builder.head + len(self.content)] = self.content
            data = builder.EndVector()
        schema.BufferStart(builder)
        if self.content:
            schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))


def pack(model: Any) -> bytes:
    """The bytes of a model whose buffers are all of the class `Buffer`."""
    # Space for all constants at once: a growing builder copies everything again and again.
    constants = sum(len(buffer.content) for buffer in model.buffers)
    tensors = sum(len(subgraph.tensors) for subgraph in model.subgraphs)
    builder = flatbuffers.Builder(constants + 512 * tensors + 8192)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _operator_code(code: int) -> Any:
    # The old one-byte field is filled as well: readers take the larger of the two.
    return schema.OperatorCodeT(
        deprecatedBuiltinCode=min(code, 127), builtinCode=code, version=OPERATOR_VERSIONS.get(code, 1)
    )
