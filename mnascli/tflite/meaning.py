"""What the numbers of a foreign file mean, as far as its graph shows: which pixels it takes, and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mnascli.tflite.reading import TYPE_NAMES, has_values, operator_names, read_file

Numbers = tuple[float, ...]

# Operators that pass on the same numbers in another shape or type.
PASSING = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "CAST", "QUANTIZE", "DEQUANTIZE"}
TO_PROBABILITIES = {"SOFTMAX", "LOGISTIC"}
LIMITS = {"INT8": (-128, 127), "UINT8": (0, 255), "INT16": (-32768, 32767)}
FITS = 0.8  # of two ranges: what they share, over what they span

# Networks divide pixels of 0 to 255 by 50 or more, or subtract as much; for those of 0 to 1 it is at most 1.
LEAST_OF_BYTES, MOST_OF_SHARES = 20.0, 1.0


@dataclass(frozen=True)
class Normalisation:
    """(pixel - mean) / std, of pixels from 0 to 1, one number for all or for each channel; `why`: the reason."""

    mean: Numbers
    std: Numbers
    why: str

    @property
    def range(self) -> tuple[float, float]:
        """What black and white become."""
        ends = [((pixel - mean) / std) for mean, std in zip(self.mean, self.std, strict=True) for pixel in (0, 1)]
        return min(ends), max(ends)

    @property
    def span(self) -> float:
        """The difference from black to white, in the channel where they are closest."""
        return min(1 / std for std in self.std)

    @property
    def is_none(self) -> bool:
        """Whether it leaves pixels from 0 to 255 as they are."""
        return not any(self.mean) and all(std == 1 / 255 for std in self.std)


def as_they_are(why: str) -> Normalisation:
    """Pixels from 0 to 255."""
    return Normalisation((0.0,), (1 / 255,), why)


USUAL = ((0.0, 1.0), (0.5, 0.5), (0.0, 1 / 255))  # 0 to 1, -1 to 1, 0 to 255


def fitting_normalisation(path: Path, others: Sequence[tuple[Numbers, Numbers]]) -> Normalisation | None:
    """What fits the type and scale of the file's input, or its first operators; None if they do not show it.

    `others` are (mean, std) that are considered besides the usual ones if the input has a scale.
    """
    model = read_file(path)
    first = _First(model)
    kind = TYPE_NAMES[first.tensor.type]
    integers = kind in LIMITS or kind.startswith(("INT", "UINT"))
    if integers and first.scale is None:
        return as_they_are(f"because it takes whole numbers ({kind.lower()}) without a scale")
    limits = first.scaled_limits()
    if limits is not None:
        return _of_range(limits, others)
    return first.rescaling()


def _of_range(limits: tuple[float, float], others: Sequence[tuple[Numbers, Numbers]]) -> Normalisation:
    low, high = limits
    why = f"because its input ranges from {low:.4g} to {high:.4g}"
    candidates = [Normalisation(mean, std, why) for mean, std in others]
    candidates += [Normalisation((mean,), (std,), why) for mean, std in USUAL]
    best = max(candidates, key=lambda one: _shared(one.range, limits))
    if _shared(best.range, limits) >= FITS:
        return best
    # Its full range for the full range of a pixel.
    std = 1 / (high - low)
    return Normalisation((-low * std,), (std,), why)


def _shared(one: tuple[float, float], other: tuple[float, float]) -> float:
    both = min(one[1], other[1]) - max(one[0], other[0])
    return max(0.0, both) / (max(one[1], other[1]) - min(one[0], other[0]))


def gives_probabilities(path: Path, outputs: npt.NDArray[np.float32]) -> bool:
    """Whether a file's outputs, (N, classes), are probabilities and not logits.

    They are if it ends in a softmax or a logistic function, or if every row sums to one, except for rounding.
    """
    model = read_file(path)
    graph, names = model.subgraphs[0], operator_names(model)
    makers = {int(tensor): operator for operator in graph.operators for tensor in operator.outputs}
    tensor, name, step = int(graph.outputs[0]), "", 0.0
    while (operator := makers.get(tensor)) is not None:
        if scale := _scale(graph.tensors[tensor]):
            step = scale[0]
        name, tensor = names[operator.opcodeIndex], int(operator.inputs[0])
        if name not in PASSING:
            break
    if name in TO_PROBABILITIES:
        return True
    slack = 1e-2 + min(0.1, step / 2 * outputs.shape[1])
    return len(outputs) > 0 and bool((outputs >= 0).all() and np.allclose(outputs.sum(1), 1, rtol=0, atol=slack))


class _First:
    """The input of a file, followed to the first operator that computes with it."""

    def __init__(self, model: Any) -> None:
        self.model, self.graph = model, model.subgraphs[0]
        self.tensor = self.graph.tensors[self.graph.inputs[0]]
        self.operator, self.name, self.scale = None, "", _scale(self.tensor)
        self.scaled = self.tensor
        names, at = operator_names(model), int(self.graph.inputs[0])
        while True:
            takers = [one for one in self.graph.operators if at in one.inputs]
            if len(takers) != 1:
                return
            (self.operator,) = takers
            self.name = names[self.operator.opcodeIndex]
            if self.name not in PASSING:
                return
            at = int(self.operator.outputs[0])
            if self.scale is None and self.name == "QUANTIZE":
                self.scaled = self.graph.tensors[at]
                self.scale = _scale(self.scaled)

    def scaled_limits(self) -> tuple[float, float] | None:
        """The least and the greatest number that its integers stand for; None if they are wider than a picture's."""
        limits = LIMITS.get(TYPE_NAMES[self.scaled.type])
        if self.scale is None or limits is None or limits[1] > 255:
            return None
        scale, zero = self.scale
        return (limits[0] - zero) * scale, (limits[1] - zero) * scale

    def rescaling(self) -> Normalisation | None:
        """What the first operator says about its pixels: a network that scales them itself takes them as they are."""
        constant = self._constant()
        if constant is None:
            return None
        greatest = float(np.abs(constant).max())
        if self.name == "MUL":
            greatest = 1 / greatest if greatest else 0.0
        # An ADD of something positive subtracts no mean: its purpose is unknown.
        takes_mean = (self.name == "SUB" and constant.min() >= 0) or (self.name == "ADD" and constant.max() <= 0)
        if self.name not in ("MUL", "DIV") and not takes_mean:
            return None
        if greatest >= LEAST_OF_BYTES:
            return as_they_are("because it scales them itself")
        if 0 < greatest <= MOST_OF_SHARES:
            return Normalisation((0.0,), (1.0,), "because it normalises pixels from 0 to 1 itself")
        return None

    def _constant(self) -> npt.NDArray[Any] | None:
        """The floats that the first operator takes besides the input."""
        others = [self.graph.tensors[index] for index in (self.operator.inputs if self.operator is not None else ())]
        fixed = [one for one in others if has_values(self.model, one) and TYPE_NAMES[one.type] == "FLOAT32"]
        if len(others) != 2 or len(fixed) != 1:
            return None
        return np.frombuffer(bytes(self.model.buffers[fixed[0].buffer].data), np.float32)


def _scale(tensor: Any) -> tuple[float, int] | None:
    """Scale and zero point of a tensor; None without."""
    about = tensor.quantization
    if about is None or about.scale is None or len(about.scale) == 0 or not about.scale[0]:
        return None
    zero = 0 if about.zeroPoint is None or len(about.zeroPoint) == 0 else int(about.zeroPoint[0])
    return float(about.scale[0]), zero
