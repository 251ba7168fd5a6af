"""Trained networks in files: weights as safetensors, with all that is needed to use and to evaluate them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mnascli.data.dataset import Dataset
from mnascli.errors import UsageError
from mnascli.nets.network import Network, build
from mnascli.schema import Schema
from mnascli.space import Architecture
from mnascli.training.recipe import Recipe
from mnascli.training.tensors import read_about, read_tensors, write_tensors


class About(Schema):
    """What a checkpoint says about itself.

    `mean` and `std` are per channel, of pixels from 0 to 1; `accuracy` is top-1 on the validation part, from 0 to 1.
    `source` opens the data again on the machine where it was trained; older files have none.
    """

    schema_version: int = 1
    architecture: str
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    data: str
    data_hash: str
    source: str = ""
    recipe: Recipe
    accuracy: float


def save_checkpoint(path: Path, network: Network, dataset: Dataset, recipe: Recipe, *, accuracy: float) -> Path:
    """Write `path`, replacing an existing file atomically. Raises MnasError for a full disk."""
    about = About(
        architecture=str(network.architecture),
        classes=dataset.classes,
        mean=dataset.mean,
        std=dataset.std,
        data=dataset.name,
        data_hash=dataset.hash,
        source=dataset.source,
        recipe=recipe,
        accuracy=accuracy,
    )
    write_tensors(path, network.state_dict(), about.model_dump(mode="json"))
    return path


def load_checkpoint(path: Path) -> tuple[Network, About]:
    """The network, in evaluation mode on the CPU, and what is known about it.

    Raises UsageError for a file that is damaged, is not a checkpoint, or whose weights do not fit the architecture that
    it names.
    """
    tensors, values = read_tensors(path)
    about = _about(path, values)
    network = build(Architecture.parse(about.architecture))
    load_weights(network, tensors, str(path))
    return network.eval(), about


def read_checkpoint(path: Path) -> About:
    """What a checkpoint says about itself, without its weights. Raises UsageError as `load_checkpoint` does."""
    return _about(path, read_about(path))


def read_architecture(path: Path) -> Architecture:
    """The architecture of a checkpoint, without its weights. Raises UsageError as `load_checkpoint` does."""
    return Architecture.parse(read_checkpoint(path).architecture)


def load_weights(network: Network, weights: Mapping[str, Tensor], source: str) -> None:
    """Put weights into a network. Raises UsageError that names the first one that does not fit."""
    state = network.state_dict()
    for name in sorted(state.keys() | weights.keys()):
        if name not in weights or name not in state:
            wrong = f"{name} is missing" if name in state else f"{name} is not in this network"
        elif weights[name].shape != state[name].shape:
            wrong = f"{name} has the shape {tuple(weights[name].shape)}, not {tuple(state[name].shape)}"
        else:
            continue
        raise UsageError(f"{source}: weights of another architecture than {network.architecture}: {wrong}")
    network.load_state_dict(weights)


def _about(path: Path, values: Mapping[str, Any]) -> About:
    if "architecture" not in values or "accuracy" not in values:
        raise UsageError(f"{path}: not a checkpoint of a trained network (expected a model.safetensors)")
    try:
        return About.model_validate(values)
    except ValueError as error:
        raise UsageError(f"{path}: a checkpoint that this version of mnas cannot read: {error.args}") from error
