"""An architecture drawn block by block, from the input down to the classes, with what each block costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from rich.text import Text

from mnascli.errors import UsageError
from mnascli.space import Architecture, Block, lower
from mnascli.space.cost import op_cost
from mnascli.space.ops import Conv, Layer
from mnascli.tui import words

BAR = 8


def draw(text: str, narrow: bool = False) -> Text:
    """The drawing of an architecture string, with each part's share of the multiply-adds.

    `narrow` gives a part two lines.

    Its share of the latency would be better; no backend measures it, and a run holds none.
    """
    try:
        net = Architecture.parse(text)
        layers = lower(net)
    except UsageError as error:
        return Text(f"{text}\n\ncannot be drawn: {error}")
    by_part: dict[str, list[Layer]] = defaultdict(list)
    for layer in layers:
        by_part[part_of(layer.name)].append(layer)
    costs = {part: sum(op_cost(op).multiply_adds for one in ones for op in one.ops) for part, ones in by_part.items()}
    total = sum(costs.values()) or 1
    said = {"stem": f"Conv {net.stem_kernel}×{net.stem_kernel}{stride(net.stem_stride)}"}
    for index, block in enumerate(net.blocks):
        part = f"block {index + 1}"
        said[part] = block_words(block, by_part[part])
    said["head"] = f"Conv 1×1, mean, {net.classes} classes"
    lines = [Text(f"input    {net.size}×{net.size}×{net.channels}", style="bold")]
    for part, what in said.items():
        share = costs.get(part, 0) / total
        cost = f"{words.bar(share, BAR)} {share:4.0%}" if by_part[part] else ""
        out = (f"{shape(by_part[part]):<10} ", "dim")
        between = "\n  │      " if narrow and cost else " " * max(1, 37 - len(what))
        lines.append(Text.assemble("  │  ", (f"{part:<8}", "bold"), f" {what}{between}", out, cost))
    lines.append(Text(f"bars: share of {total:,} multiply-adds (of latency: not measured)", style="dim"))
    return Text("\n").join(lines)


def part_of(layer: str) -> str:
    """'stem', 'block 3' or 'head' for the name of a layer."""
    if layer.startswith("blocks."):
        return f"block {int(layer.split('.')[1]) + 1}"
    return "head" if layer == "classifier" else layer


def block_words(block: Block, layers: Sequence[Layer]) -> str:
    """A block's choices. A skip that no layer can have, because of its stride or filters, is omitted."""
    if not layers:
        return "left out"
    squeeze = f" SE {block.se_ratio:g}" if block.se_ratio else ""
    repeats = f" ×{block.repeats}" if block.repeats > 1 else ""
    skip = f"  ↷ {block.skip}" if any(layer.skip for layer in layers) else ""
    return f"{block.title.replace('x', '×')}{stride(block.stride)}{squeeze}{repeats}{skip}"


def stride(value: int) -> str:
    return f" /{value}" if value > 1 else ""


def shape(layers: Sequence[Layer]) -> str:
    """Height, width and filters of the last feature map of some layers; '' if there are none."""
    maps = [op for layer in layers for op in layer.ops if isinstance(op, Conv)]
    return f"{maps[-1].out_size}×{maps[-1].out_size}×{maps[-1].out_channels}" if maps else ""
