"""Parts of a network that a training leaves unchanged."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from mnascli.errors import UsageError

FEATURES = "features"  # all but the classifier


def freeze(network: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """Switch off gradients in the parts called `names` and return these parts.

    Raises UsageError for a part that the network does not have, and if nothing is left to train.
    """
    there = dict(network.named_modules())
    frozen: list[nn.Module] = []
    for name in names:
        if name == FEATURES:
            frozen += [module for child, module in network.named_children() if child != "classifier"]
        elif name in there and name:
            frozen.append(there[name])
        else:
            parts = [FEATURES, *(name for name in there if len(name) > 0 and name.count(".") < 2)]
            raise UsageError(f"freeze {name}: the network has no such part: it has {', '.join(parts)}")
    for module in frozen:
        module.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise UsageError(f"freeze {', '.join(names)}: nothing is left to train")
    return frozen
