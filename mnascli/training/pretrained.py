"""Starting from published weights: timm's and torchvision's MnasNets and MobileNetV2s, or a checkpoint of mnas.

Their networks pad strided convolutions on both sides, where TensorFlow, and so this project, pads at the end. With the
same weights this shifts the view by at most 31 pixels (1 + 2 + 4 + 8 + 16); if all sizes are odd (225, 113, 57, 29,
15), there is no difference at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mnascli import paths
from mnascli.errors import UsageError
from mnascli.nets.network import Network, build
from mnascli.space import ZOO, Architecture, load
from mnascli.space.layers import lower
from mnascli.space.ops import Conv, Layer, SqueezeExcite
from mnascli.training.checkpoint import load_checkpoint
from mnascli.training.state_dicts import Tensors, read_state_dicts
from mnascli.training.tensors import is_ours

# What the published weights were trained on; timm and torchvision use torch's default epsilon in batch norm.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
EPSILON = 1e-5
BODIES = ("blocks.", "features.", "layers.")  # the parts before the classifier, by their names
WIDTHS = (1.0, 0.25, 0.35, 0.5, 0.75, 1.1, 1.2, 1.25, 1.3, 1.4, 1.5, 2.0)
WHERE = (
    "weights are available from timm (https://huggingface.co/timm/semnasnet_100.rmsp_in1k is mnasnet-a1) and "
    "torchvision (https://download.pytorch.org/models/mobilenet_v2-b0353104.pth): docs/training.md has a list"
)

Names = Iterator[tuple[str, str]]  # prefixes of a module in our network and of the same module in theirs


@dataclass(frozen=True)
class Pretrained:
    """Weights under the names of their publisher, and what goes with them. `names` gives the publisher's names."""

    source: str
    tensors: dict[str, Tensor]
    names: Callable[[Architecture], Names]
    bn_epsilon: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


def read_pretrained(path: Path) -> Pretrained:
    """The weights in a .pth, .pt or .safetensors file, or in the folder of a checkpoint.

    Raises UsageError for a file that is damaged, or of another network, or of something else.
    """
    if paths.is_file(path / "model.safetensors"):
        path /= "model.safetensors"
    if path.suffix == ".safetensors" and paths.is_file(path) and is_ours(path):
        network, about = load_checkpoint(path)
        epsilon = network.architecture.bn_epsilon
        return Pretrained(str(path), network.state_dict(), _own_names, epsilon, about.mean, about.std)
    if not paths.exists(path):
        raise UsageError(f"{path}: no such file; {WHERE}")
    groups = read_state_dicts(path)
    known = [
        (not _averaged(place + name), len(name), place, name.removesuffix(key), tensors, names)
        for place, tensors in groups
        for key, names in KNOWN_BY.items()
        for name in tensors
        if name == key or name.endswith(f".{key}")
    ]
    if not known:
        some = ", ".join(list(groups[0][1])[:2])
        raise UsageError(
            f"{path}: weights of another network (it has {some}): MnasNets and MobileNetV2s of timm and torchvision "
            f"can be used, and checkpoints of mnas; {WHERE}"
        )
    # The moving average if there is one, and the outer network if one is inside another.
    *_, prefix, tensors, names = min(known, key=lambda one: one[:2])
    own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    return Pretrained(str(path), own, names, EPSILON, IMAGENET_MEAN, IMAGENET_STD)


def load_pretrained(network: Network, start: Pretrained) -> list[str]:
    """Put the weights into `network`; returns what could not be taken over and is left unchanged, in words.

    The classifier is left unchanged if the number of classes differs; a stem for colours is summed for grey pictures.
    Raises UsageError, with nothing changed, if anything else does not fit, naming the width or model that would.
    """
    try:
        found, left = _matched(start, network.architecture, network.state_dict())
    except _MisfitError as misfit:
        fits = _what_fits(start, network.architecture)
        raise UsageError(
            f"{start.source}: weights of another network than {network.architecture}: {misfit}; {fits}"
        ) from misfit
    network.load_state_dict(found, strict=False)
    return left


class _MisfitError(Exception):
    """The first thing that does not fit."""


def _matched(start: Pretrained, architecture: Architecture, state: Mapping[str, Tensor]) -> tuple[Tensors, list[str]]:
    """The weights under the names of `state`, and what is omitted, in words. Raises _MisfitError."""
    found: Tensors = {}
    used: set[str] = set()
    left: list[str] = []
    for here, there in start.names(architecture):
        for name in (name for name in state if name.startswith(f"{here}.")):
            key = there + name.removeprefix(here)
            used.add(key)
            if key not in start.tensors:
                if name.endswith("num_batches_tracked"):  # old files have none
                    continue
                raise _MisfitError(f"no {key}")
            value = start.tensors[key]
            if here == "classifier.dense" and value.shape != state[name].shape:
                left = [f"the classifier is new: {start.tensors[key].shape[0]} classes became {state[name].shape[0]}"]
                continue
            if here == "stem.conv.conv" and value.ndim == 4 and value.shape[1] == 3 and state[name].shape[1] == 1:
                value = value.sum(1, keepdim=True)
            if value.shape != state[name].shape:
                raise _MisfitError(f"{key} has the shape {tuple(value.shape)}, not {tuple(state[name].shape)}")
            found[name] = value
    if more := [key for key in start.tensors if key not in used and key.startswith(BODIES)]:
        raise _MisfitError(f"it has no place for {more[0]}")
    return found, left


def _what_fits(start: Pretrained, architecture: Architecture) -> str:
    """Which width of the network, or else which network of the zoo, the weights are for, in words."""
    for width in WIDTHS:
        if _fits(start, architecture.on(width=width)):
            return f"they fit it with --width {width:g}"
    for name in ZOO:
        for width in WIDTHS:
            if _fits(start, load(name, width=width)):
                return f"they fit {name}" + (f" with --width {width:g}" if width != 1 else "")
    return "they fit no network of the zoo at a usual width"


def _fits(start: Pretrained, architecture: Architecture) -> bool:
    ops = [op for layer in lower(architecture) for op in layer.ops]
    kernels = sum(isinstance(op, Conv) + 2 * isinstance(op, SqueezeExcite) for op in ops)
    if kernels != sum(value.ndim == 4 for value in start.tensors.values()):
        return False  # known without building it
    try:
        _matched(start, architecture, build(architecture).state_dict())
    except (_MisfitError, KeyError):  # theirs have no name for a block with more convolutions than they have
        return False
    return True


def _averaged(place: str) -> bool:
    return "ema" in place.lower() or "averaged" in place.lower()


def timm_names(architecture: Architecture) -> Names:
    """Names of timm's EfficientNet class: mnasnet_*, semnasnet_*, mobilenetv2_*."""
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
    """Names of torchvision's MNASNet: stem and first block in a row, a module for each further block, the head."""
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
    """Names of torchvision's MobileNetV2: everything but the classifier is a row called features."""
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


# The tensor by which a publisher's weights are recognised.
KNOWN_BY = {
    "conv_stem.weight": timm_names,
    "features.0.0.weight": torchvision_mobilenet_names,
    "layers.0.weight": torchvision_mnasnet_names,
}
