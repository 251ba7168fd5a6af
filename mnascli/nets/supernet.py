"""The supernet: one network whose weights serve every architecture of a space.

For each layer position it holds one module for each family of operators, as large as the space allows: the widest
input and output, the largest kernel, expansion and squeeze-excite. A child takes the first filters and channels of
each tensor and the middle of each kernel, and leaves out the layers that it lacks. So

    conv, sep, mbconv   are separate, because their kernels mean different things
    mbconv3, mbconv6    share, as all filters, kernels, squeeze-excite ratios and depths do; skips have no weights

as in TuNAS (2008.06120, section 4). A child's layers are those of `space.lower`, run by the modules of
`nets.network` with slices of the shared tensors in place of their own. There is no second forward pass that could
differ from the network that the child becomes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mnascli.nets.network import Network, Residual, build, place
from mnascli.space import Architecture, Block, Layer, Space, lower
from mnascli.space.heads import classifier
from mnascli.space.layers import block_layer
from mnascli.space.ops import same_size

# The first op of a block's layer determines its family.
FAMILIES = {"conv": "conv", "depthwise": "sep", "expand": "mbconv"}


class Supernet(nn.Module):
    """The shared weights of a space's architectures, drawn from torch's global random state.

    Modules have the names of the lowering, those in blocks with the family after it:
    `blocks.2.0.mbconv.depthwise.conv.weight`. Batch norm works with the statistics of each batch in either mode, since
    every child has its own: `training.one_shot.calibrated` takes them for one child.
    """

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space
        self.options = _options(space)
        self.bn_epsilon = _any(space).bn_epsilon
        for layer in _widest(space, self.options):
            module = Residual(layer, self.bn_epsilon)
            _forget_statistics(module)
            place(self, _home(layer), module)

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """The logits (N, classes) of a child for (N, channels, size, size)."""
        for layer in lower(architecture):
            skeleton = _skeleton(layer, self.bn_epsilon).train(self.training)
            x = functional_call(skeleton, self._share(layer, skeleton), (x,))
        return x

    def weights(self, architecture: Architecture) -> dict[str, Tensor]:
        """A child's share by the names of its stand-alone network, as views; all but batch norm statistics.

        Raises UsageError for an architecture outside the space.
        """
        self.space.encode(architecture)
        return {
            f"{layer.name}.{name}": tensor
            for layer in lower(architecture)
            for name, tensor in self._share(layer, _skeleton(layer, architecture.bn_epsilon)).items()
        }

    def anchor(self) -> Architecture:
        """The child that shares most with all others: everything at its largest, and the operators that share most.

        Its skips are identities where the space has them.
        """
        return replace(_any(self.space), blocks=tuple(map(_most_shared, self.options)))

    def extract(self, architecture: Architecture) -> Network:
        """A child as a network of its own, with copies of its weights and batch norm statistics still to be taken."""
        network = build(architecture)
        network.load_state_dict({name: tensor.detach() for name, tensor in self.weights(architecture).items()}, False)
        return network

    def _share(self, layer: Layer, skeleton: Residual) -> dict[str, Tensor]:
        shared = self.get_submodule(_home(layer))
        return {name: _part(shared.get_parameter(name), own.shape) for name, own in skeleton.named_parameters()}


def _home(layer: Layer) -> str:
    """Where the shared weights of a layer are in the supernet."""
    if not layer.name.startswith("blocks."):
        return layer.name
    return f"{layer.name}.{FAMILIES[layer.ops[0].name.rpartition('.')[2]]}"


def _part(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """The first filters and channels, and the middle of the kernel."""
    for axis, (have, want) in enumerate(zip(tensor.shape, shape, strict=True)):
        if have != want:  # each slice costs a copy of the tensor on the way back
            tensor = tensor.narrow(axis, (have - want) // 2 if axis >= 2 else 0, want)
    return tensor


@lru_cache(maxsize=4096)
def _skeleton(layer: Layer, bn_epsilon: float) -> Residual:
    """The module of a layer without weights, which come with each call. Made once: a training runs it many times."""
    with torch.random.fork_rng(devices=[]):
        module = Residual(layer, bn_epsilon)
    _forget_statistics(module)
    return module.to("meta")  # made on "meta", it would take five times as long


def _forget_statistics(module: nn.Module) -> None:
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.track_running_stats = False
            norm.running_mean = norm.running_var = norm.num_batches_tracked = None


def _any(space: Space) -> Architecture:
    return space.decode([0] * len(space.decisions))


def _options(space: Space) -> list[list[Block]]:
    """For each block of the space, blocks that together take every choice of each of its decisions once."""
    options: list[list[Block]] = [[] for _ in space.config.blocks]
    for position, decision in enumerate(space.decisions):
        number = int(decision.tag.removeprefix("block").partition(".")[0]) - 1
        for choice in range(len(decision.choices)):
            indices = [0] * len(space.decisions)
            indices[position] = choice
            options[number].append(space.decode(indices).blocks[number])
    return options


def _widest(space: Space, options_of_blocks: Sequence[Sequence[Block]]) -> Iterator[Layer]:
    """Every layer that the supernet holds, at its largest."""
    child = _any(space)
    stem, *_ = lower(child)
    yield stem
    channels, size = child.stem_filters, same_size(child.size, child.stem_stride)
    for index, options in enumerate(options_of_blocks):
        filters = max(block.filters for block in options)
        kernel, se_ratio = max(block.kernel for block in options), max(block.se_ratio for block in options)
        entering, entering_size = channels, size
        for repeat in range(max(block.repeats for block in options)):
            stride = options[0].stride if repeat == 0 else 1
            layers = {}
            for block in sorted(options, key=lambda block: block.expansion):
                widest = replace(block, kernel=kernel, filters=filters, se_ratio=se_ratio)
                name = f"blocks.{index}.{repeat}"
                layer = block_layer(name, widest, child.activation, entering, filters, stride, entering_size)
                layers[_home(layer)] = layer  # the largest expansion of a family comes last
            yield from layers.values()
            entering, entering_size = filters, same_size(entering_size, stride)
        size = same_size(size, options[0].stride)
        # If the block may be left out, its input may enter the next one.
        channels = max(filters, channels if min(block.repeats for block in options) == 0 else 0)
    yield from classifier(child, channels, size)


def _most_shared(options: Sequence[Block]) -> Block:
    operators = {(block.operator, block.expansion) for block in options}
    of_family = Counter(operator for operator, _ in operators)
    operator, expansion = max(operators, key=lambda one: (of_family[one[0]], one[1]))
    skips = [block.skip for block in options]
    return replace(
        options[0],
        operator=operator,
        expansion=expansion,
        kernel=max(block.kernel for block in options),
        filters=max(block.filters for block in options),
        se_ratio=max(block.se_ratio for block in options),
        repeats=max(block.repeats for block in options),
        skip="identity" if "identity" in skips else skips[0],
    )
