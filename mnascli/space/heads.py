"""What stands on top of the blocks: heads, each a few layers of the lowering."""

from __future__ import annotations

from typing import Literal

from mnascli.space.architecture import Architecture
from mnascli.space.ops import Conv, Dense, Dropout, GlobalMean, Layer, Op, round_filters

# A classifier's new weights are uniform within 1 / sqrt of the number of its inputs, or of its classes.
ClassifierInit = Literal["inputs", "classes"]


def classifier(net: Architecture, channels: int, size: int) -> tuple[Layer, ...]:
    """The last convolution with the mean over its maps, and the classifier: (channels, size, size) -> (classes,)."""
    filters = net.head_filters
    if net.head_grows and net.width > 1:
        filters = round_filters(net.head_filters, net.width)
    head: list[Op] = []
    if filters:
        head.append(Conv("head.conv", channels, filters, 1, 1, size, activation=net.activation))
        channels = filters
    last = Dropout("classifier.dropout", float(net.dropout)), Dense("classifier.dense", channels, net.classes)
    return Layer("head", (*head, GlobalMean("head.mean", channels, size))), Layer("classifier", last)
