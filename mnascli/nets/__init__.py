"""Torch networks from the layers of an architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnascli.nets.network import Network
    from mnascli.space.architecture import Architecture
    from mnascli.space.heads import ClassifierInit


def build(architecture: Architecture, seed: int | None = None, classifier_init: ClassifierInit = "inputs") -> Network:
    """A freshly initialised network; see `mnascli.nets.network.build`. Imports torch on the first call."""
    from mnascli.nets import network

    return network.build(architecture, seed, classifier_init)
