"""Files as other tools make them, out of those that mnas writes: other inputs, other outputs, sizes left open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mnascli.tflite.graph import Buffer, pack
from mnascli.tflite.reading import has_values, read_file

CODES, TYPES = schema.BuiltinOperator, schema.TensorType


class Foreign:
    """A file that is changed step by step and written where it was."""

    def __init__(self, path: Path) -> None:
        self.path, self.model = path, read_file(path)
        self.graph = self.model.subgraphs[0]
        self.signatures: list[Any] = []  # those of the file may name tensors that are others now

    def write(self) -> Path:
        self.model.buffers = [Buffer(b"" if one.data is None else bytes(one.data)) for one in self.model.buffers]
        self.model.signatureDefs = self.signatures
        self.path.write_bytes(pack(self.model))
        return self.path

    @property
    def image(self) -> Any:
        return self.graph.tensors[self.graph.inputs[0]]

    def leave_open(self, *places: int) -> Foreign:
        """Any size will do at these places of the pictures: -1 in the signature and 1 in the shape."""
        for tensor in self.graph.tensors:
            if not has_values(self.model, tensor) and len(tensor.shape) == 4:
                shape = np.array(tensor.shape)
                signature = shape.copy()
                signature[list(places)], shape[list(places)] = -1, 1
                tensor.shape, tensor.shapeSignature = shape, signature
        return self

    def take_at_once(self, batch: int) -> Foreign:
        for tensor in self.graph.tensors:
            if not has_values(self.model, tensor) and len(tensor.shape) in (2, 4):
                tensor.shape = np.array([batch, *tensor.shape[1:]], np.int32)
        return self

    def tensor(
        self, shape: Sequence[int], kind: int, values: Any = None, scale: tuple[float, int] | None = None
    ) -> int:
        about = schema.QuantizationParametersT()
        if scale:
            about.scale, about.zeroPoint = [scale[0]], [scale[1]]
        buffer = 0
        if values is not None:
            buffer = len(self.model.buffers)
            self.model.buffers.append(schema.BufferT(data=np.frombuffer(np.asarray(values).tobytes(), np.uint8)))
        self.graph.tensors.append(
            schema.TensorT(
                name=f"made-{len(self.graph.tensors)}",
                shape=np.array(shape, np.int32),
                type=kind,
                buffer=buffer,
                quantization=about,
                hasRank=True,
            )
        )
        return len(self.graph.tensors) - 1

    def operator(self, code: int, inputs: list[int], outputs: list[int], options: Any = None) -> Any:
        self.model.operatorCodes.append(
            schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), builtinCode=code, version=1)
        )
        made = schema.OperatorT(opcodeIndex=len(self.model.operatorCodes) - 1, inputs=inputs, outputs=outputs)
        if options is not None:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
            made.builtinOptions = options
        return made

    def begin_with(self, code: int, kind: int, shape: Sequence[int], options: Any = None, **more: Any) -> Foreign:
        """Another input of that type and shape, which an operator makes the old one of; `more`: `beside`, `scale`."""
        old = int(self.graph.inputs[0])
        new = self.tensor(shape, kind, scale=more.get("scale"))
        beside = [self.tensor(np.shape(values), kind, values) for kind, values in more.get("beside", ())]
        self.graph.operators.insert(0, self.operator(code, [new, *beside], [old], options))
        self.graph.inputs = [new]
        return self

    def end_with(self, code: int, shape: Sequence[int], options: Any = None, **more: Any) -> Foreign:
        """Another output, which an operator makes of the old one; `more`: `beside`, `kind`, `scale`."""
        old = int(self.graph.outputs[0])
        new = self.tensor(shape, more.get("kind", TYPES.FLOAT32), scale=more.get("scale"))
        beside = [self.tensor(np.shape(values), kind, values) for kind, values in more.get("beside", ())]
        self.graph.operators.append(self.operator(code, [old, *beside], [new], options))
        self.graph.outputs = [new]
        return self

    def softmax(self) -> Foreign:
        shape = self.graph.tensors[self.graph.outputs[0]].shape
        return self.end_with(CODES.SOFTMAX, shape, schema.SoftmaxOptionsT(beta=1.0))

    def reshaped(self, *shape: int) -> Foreign:
        return self.end_with(CODES.RESHAPE, shape, schema.ReshapeOptionsT(newShape=list(shape)))

    def cast_from(self, kind: int) -> Foreign:
        """Pixels in another type, turned into floats."""
        return self.begin_with(CODES.CAST, kind, self.image.shape, schema.CastOptionsT())

    def scaled_by(self, code: int, number: float) -> Foreign:
        """An operator of two numbers, such as MUL, before everything else."""
        options = {CODES.MUL: schema.MulOptionsT, CODES.SUB: schema.SubOptionsT, CODES.DIV: schema.DivOptionsT}[code]()
        beside = [(TYPES.FLOAT32, np.array([number], np.float32))]
        return self.begin_with(code, TYPES.FLOAT32, self.image.shape, options, beside=beside)


Change = Callable[[Foreign], Foreign]
