"""A start from published weights: timm's and torchvision's MnasNets and MobileNetV2s, or a checkpoint of mnas.

Their networks pad strided convolutions on both sides where TensorFlow, and so this project, pads at the end. With the
same weights that moves what is seen by 31 pixels at most (1 + 2 + 4 + 8 + 16); for odd sizes all along (225, 113, 57,
29, 15), nothing differs at all.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from mnascli import paths
from mnascli.errors import UsageError
from mnascli.nets.network import Network
from mnascli.space import Architecture
from mnascli.space.layers import Conv, Layer, SqueezeExcite, lower
from mnascli.training.checkpoint import load_checkpoint
from mnascli.training.tensors import is_ours

# What the published weights were trained on; timm and torchvision use torch's default epsilon in batch norm.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
EPSILON = 1e-5

Names = Iterator[tuple[str, str]]  # prefixes of a module here and of the same module there


@dataclass(frozen=True)
class Pretrained:
    """Weights by the names of whoever published them, and what goes with them. `names` tells how they are called."""

    source: str
    tensors: dict[str, Tensor]
    names: Callable[[Architecture], Names]
    bn_epsilon: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


def read_pretrained(path: Path) -> Pretrained:
    """The weights in a .pth, .pt or .safetensors file. Raises UsageError for a file of another network, or damaged."""
    if path.suffix == ".safetensors" and paths.is_file(path) and is_ours(path):
        network, about = load_checkpoint(path)
        epsilon = network.architecture.bn_epsilon
        return Pretrained(str(path), network.state_dict(), _own_names, epsilon, about.mean, about.std)
    tensors = _read(path)
    for key, names in (
        ("conv_stem.weight", timm_names),
        ("features.0.0.weight", torchvision_mobilenet_names),
        ("layers.0.weight", torchvision_mnasnet_names),
    ):
        if key in tensors:
            return Pretrained(str(path), tensors, names, EPSILON, IMAGENET_MEAN, IMAGENET_STD)
    some = ", ".join(list(tensors)[:2])
    raise UsageError(
        f"{path}: weights of another network (it has {some}): MnasNets and MobileNetV2s of timm and torchvision can be "
        "a start, and checkpoints of mnas"
    )


def load_pretrained(network: Network, start: Pretrained) -> list[str]:
    """Put the weights into `network`; returns what could not be taken over, in words, and is left as it was.

    The classifier is left where the classes are others in number; a stem for colours is summed up for grey pictures.
    Raises UsageError, with nothing changed, if anything else does not fit.
    """
    state = network.state_dict()
    found: dict[str, Tensor] = {}
    left: list[str] = []
    for here, there in start.names(network.architecture):
        for name in (name for name in state if name.startswith(f"{here}.")):
            key = there + name.removeprefix(here)
            if key not in start.tensors:
                if name.endswith("num_batches_tracked"):  # old files have none
                    continue
                raise UsageError(f"{start.source}: weights of another network than {network.architecture}: no {key}")
            value = start.tensors[key]
            if here == "classifier.dense" and value.shape != state[name].shape:
                left = [f"the classifier is new: {start.tensors[key].shape[0]} classes became {state[name].shape[0]}"]
                continue
            if here == "stem.conv.conv" and value.ndim == 4 and value.shape[1] == 3 and state[name].shape[1] == 1:
                value = value.sum(1, keepdim=True)
            if value.shape != state[name].shape:
                raise UsageError(
                    f"{start.source}: weights of another network than {network.architecture}: {key} has the shape "
                    f"{tuple(value.shape)}, not {tuple(state[name].shape)}"
                )
            found[name] = value
    network.load_state_dict(found, strict=False)
    return left


def timm_names(architecture: Architecture) -> Names:
    """Of timm's EfficientNet class: mnasnet_*, semnasnet_*, mobilenetv2_*."""
    for layer in lower(architecture):
        if layer.name == "stem":
            yield from _conv("stem.conv", "conv_stem", "bn1")
        elif layer.name == "head":
            yield from _conv("head.conv", "conv_head", "bn2")
        elif layer.name == "classifier":
            yield "classifier.dense", "classifier"
        else:
            convs = _convs(layer)
            there = {1: ("conv",), 2: ("conv_dw", "conv_pw"), 3: ("conv_pw", "conv_dw", "conv_pwl")}[len(convs)]
            for number, (conv, name) in enumerate(zip(convs, there, strict=True), 1):
                yield from _conv(conv.name, f"{layer.name}.{name}", f"{layer.name}.bn{number}")
            for op in layer.ops:
                if isinstance(op, SqueezeExcite):
                    yield f"{op.name}.reduce", f"{layer.name}.se.conv_reduce"
                    yield f"{op.name}.expand", f"{layer.name}.se.conv_expand"


def torchvision_mnasnet_names(architecture: Architecture) -> Names:
    """Of torchvision's MNASNet: the stem and the first block in a row, a module for each further block, the head."""
    blocks = len(architecture.blocks)
    for layer in lower(architecture):
        if layer.name == "stem":
            yield from _conv("stem.conv", "layers.0", "layers.1")
        elif layer.name == "head":
            yield from _conv("head.conv", f"layers.{7 + blocks}", f"layers.{8 + blocks}")
        elif layer.name == "classifier":
            yield "classifier.dense", "classifier.1"
        else:
            _, block, repeat = layer.name.split(".")
            prefix, begin = ("layers", 3) if block == "0" else (f"layers.{7 + int(block)}.{repeat}.layers", 0)
            for number, conv in enumerate(_convs(layer)):
                at = begin + 3 * number
                yield from _conv(conv.name, f"{prefix}.{at}", f"{prefix}.{at + 1}")


def torchvision_mobilenet_names(architecture: Architecture) -> Names:
    """Of torchvision's MobileNetV2: everything but the classifier is a row called features."""
    for index, layer in enumerate(lower(architecture)):
        if layer.name in ("stem", "head"):
            yield from _conv(f"{layer.name}.conv", f"features.{index}.0", f"features.{index}.1")
        elif layer.name == "classifier":
            yield "classifier.dense", "classifier.1"
        else:
            *inner, last = _convs(layer)
            prefix = f"features.{index}.conv"
            for number, conv in enumerate(inner):
                yield from _conv(conv.name, f"{prefix}.{number}.0", f"{prefix}.{number}.1")
            yield from _conv(last.name, f"{prefix}.{len(inner)}", f"{prefix}.{len(inner) + 1}")


def _own_names(architecture: Architecture) -> Names:
    for layer in lower(architecture):
        for op in layer.ops:
            yield op.name, op.name


def _conv(here: str, conv: str, norm: str) -> Names:
    yield f"{here}.conv", conv
    yield f"{here}.bn", norm


def _convs(layer: Layer) -> list[Conv]:
    return [op for op in layer.ops if isinstance(op, Conv)]


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict in a file, out of the wrappings that training scripts put around it."""
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(path))
        values: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
    except Exception as error:  # torch's and safetensors' readers raise nearly anything on damaged files
        if isinstance(error, pickle.UnpicklingError) and zipfile.is_zipfile(path):
            raise UsageError(f"{path}: not a file of weights alone: it could run code, so it is not read") from error
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise UsageError(f"{path}: not a file of weights, or cut off: {reason}") from error
    for wrapping in ("state_dict_ema", "state_dict", "model"):
        if isinstance(values, dict) and isinstance(values.get(wrapping), dict):
            values = values[wrapping]
    if not isinstance(values, dict) or not all(isinstance(value, Tensor) for value in values.values()) or not values:
        raise UsageError(f"{path}: not a state dict: names with tensors were expected")
    return {name.removeprefix("module."): value for name, value in values.items()}
