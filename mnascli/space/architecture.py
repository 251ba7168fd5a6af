"""Architectures: immutable descriptions of networks, with a string form in timm's notation.

An architecture string is a comma-separated list of stages, for example

    stem_k3_s1_c16,ds_r1_k3_s1_c16_noskip,ir_r3_k5_s2_e3_c40_se0.25,head_c256,net_i28_ch1_o10

`cn` is a plain convolution, `ds` a depthwise-separable one, `dsa` the same with an activation after its pointwise part
(MobileNetV1), `ir` an MBConv (inverted residual). After it r = layers, k = kernel, s = stride of the first layer,
e = expansion, c = filters, se = squeeze-excite ratio of the block's input filters; then `noskip`, `skip` (identity) or
`pool`. As in timm, the default skip is none for `cn` and identity for all others. `stem`, `head` and `net` are omitted
where they have the values of MnasNet (paper, figure 7): a string without them means stem_k3_s2_c32, head_c1280_d0.2,
net_w1_i224_ch3_o1000. head_c0 is a head without a convolution.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self

from mnascli.errors import UsageError

Operator = Literal["conv", "sep", "sep_act", "mbconv"]
Skip = Literal["none", "identity", "pool"]
Activation = Literal["relu", "relu6"]

CODES: dict[str, Operator] = {"cn": "conv", "ds": "sep", "dsa": "sep_act", "ir": "mbconv"}
CODE_OF = {operator: code for code, operator in CODES.items()}
SKIPS: dict[str, Skip] = {"noskip": "none", "skip": "identity", "pool": "pool"}
TITLES: dict[Operator, str] = {"conv": "Conv", "sep": "SepConv", "sep_act": "SepConv", "mbconv": "MBConv"}
DEFAULT_SKIP: dict[str, Skip] = {"conv": "none", "sep": "identity", "sep_act": "identity", "mbconv": "identity"}


class ArchitectureError(UsageError):
    """An impossible architecture: bad syntax or a value out of range."""


@dataclass(frozen=True, slots=True)
class Block:
    """A stack of `repeats` identical layers, of which only the first is strided (paper, section 4.1).

    `repeats` may be 0: the block is left out (the paper's 'one layer fewer' for a block with one).
    `expansion` applies to mbconv alone. `se_ratio` is relative to the filters that enter the layer.
    """

    operator: Operator
    kernel: int
    stride: int
    filters: int
    repeats: int = 1
    expansion: int = 1
    se_ratio: float = 0.0
    skip: Skip = "identity"

    def __post_init__(self) -> None:
        _check(self.operator in CODE_OF, f"operator {self.operator!r}: not one of {', '.join(CODE_OF)}")
        _check(self.skip in DEFAULT_SKIP.values() or self.skip == "pool", f"skip {self.skip!r} is unknown")
        _check(self.kernel >= 1 and self.kernel % 2 == 1, f"kernel {self.kernel}: must be odd, 1 or more")
        _check(self.stride in (1, 2), f"stride {self.stride}: must be 1 or 2")
        _check(self.filters >= 1, f"filters {self.filters}: must be 1 or more")
        _check(self.repeats >= 0, f"layers {self.repeats}: must be 0 or more")
        _check(self.repeats > 0 or self.stride == 1, "a block of 0 layers cannot have stride 2")
        _check(self.expansion >= 1, f"expansion {self.expansion}: must be 1 or more")
        _check(self.operator == "mbconv" or self.expansion == 1, f"{self.operator} takes no expansion")
        _check(0 <= self.se_ratio <= 1, f"squeeze-excite ratio {self.se_ratio}: must be from 0 to 1")

    @property
    def title(self) -> str:
        """Operator, expansion and kernel, as in the paper's figures: 'MBConv6 3x3'."""
        expansion = str(self.expansion) if self.operator == "mbconv" else ""
        return f"{TITLES[self.operator]}{expansion} {self.kernel}x{self.kernel}"

    def __str__(self) -> str:
        parts = [CODE_OF[self.operator], f"r{self.repeats}", f"k{self.kernel}", f"s{self.stride}"]
        if self.operator == "mbconv":
            parts.append(f"e{self.expansion}")
        parts.append(f"c{self.filters}")
        if self.se_ratio:
            parts.append(f"se{_number(self.se_ratio)}")
        if self.skip != DEFAULT_SKIP[self.operator]:
            parts += [word for word, skip in SKIPS.items() if skip == self.skip]
        return "_".join(parts)


@dataclass(frozen=True, slots=True)
class Architecture:
    """A whole network: stem, blocks, head, and the input and classes it is built for.

    `width` is the depth multiplier, applied by the lowering to stem and blocks with the filters rounded to
    multiples of 8; the head is not scaled unless `head_grows`, and then only above 1 (MobileNetV2).
    `size` is the height and width of the input in pixels, `channels` its colour channels.
    """

    blocks: tuple[Block, ...]
    stem_kernel: int = 3
    stem_stride: int = 2
    stem_filters: int = 32
    head_filters: int = 1280
    head_grows: bool = False
    dropout: float = 0.2
    activation: Activation = "relu"
    bn_epsilon: float = 1e-3
    width: float = 1.0
    size: int = 224
    channels: int = 3
    classes: int = 1000

    def __post_init__(self) -> None:
        _check(len(self.blocks) > 0, "an architecture needs at least one block")
        _check(self.stem_kernel >= 1 and self.stem_kernel % 2 == 1, f"stem kernel {self.stem_kernel}: must be odd")
        _check(self.stem_stride in (1, 2), f"stem stride {self.stem_stride}: must be 1 or 2")
        _check(self.activation in ("relu", "relu6"), f"activation {self.activation!r}: relu or relu6")
        _check(self.head_filters >= 0, f"head filters {self.head_filters}: must be 0 (no convolution) or more")
        for name in ("stem_filters", "size", "channels", "classes"):
            _check(getattr(self, name) >= 1, f"{name} {getattr(self, name)}: must be 1 or more")
        _check(0 <= self.dropout < 1, f"dropout {self.dropout}: must be at least 0 and below 1")
        _check(0 < self.width <= 100, f"width {self.width}: must be above 0, at most 100")
        _check(0 < self.bn_epsilon < math.inf, f"batch norm epsilon {self.bn_epsilon}: must be above 0")

    def __str__(self) -> str:
        stages = [
            _tagged("stem", self, _STEM),
            *map(str, self.blocks),
            _tagged("head", self, _HEAD),
            _tagged("net", self, _NET),
        ]
        return ",".join(stage for stage in stages if stage)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The architecture that a string describes; stages are separated by commas or blanks.

        Raises ArchitectureError naming the stage that does not parse.
        """
        values: dict[str, Any] = {}
        blocks: list[Block] = []
        seen: set[str] = set()
        for stage in re.split(r"[,\s]+", text.strip()):
            code, *tokens = stage.split("_")
            try:
                if code in _TAGS:
                    _check(code not in seen, f"{code!r} appears twice")
                    seen.add(code)
                    values |= _parse_tagged(_TAGS[code], tokens)
                else:
                    blocks.append(_parse_block(code, tokens))
            except ArchitectureError as error:
                raise ArchitectureError(f"architecture stage {stage!r}: {error}") from None
        return cls(blocks=tuple(blocks), **values)

    def to_json(self) -> dict[str, Any]:
        """A plain, JSON-ready form with every value written out; `from_json` reads it back."""
        return {**asdict(self), "blocks": [asdict(block) for block in self.blocks]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The architecture that `to_json` wrote. Raises ArchitectureError for unknown keys or bad values."""
        try:
            blocks = tuple(Block(**block) for block in values["blocks"])
            return cls(**{**values, "blocks": blocks})
        except (TypeError, KeyError) as error:
            raise ArchitectureError(f"not an architecture in JSON: {error}") from error

    def on(self, *, width: float | None = None, size: int | None = None, classes: int | None = None) -> Self:
        """The same network at another depth multiplier, input size or number of classes; None keeps the present one."""
        changes: dict[str, Any] = {"width": width, "size": size, "classes": classes}
        return replace(self, **{name: value for name, value in changes.items() if value is not None})


# token -> field; a field of type bool or Activation is a bare word
_STEM = {"k": "stem_kernel", "s": "stem_stride", "c": "stem_filters"}
_HEAD = {"c": "head_filters", "d": "dropout", "grow": "head_grows"}
_NET = {"w": "width", "i": "size", "ch": "channels", "o": "classes", "relu6": "activation", "eps": "bn_epsilon"}
_TAGS = {"stem": _STEM, "head": _HEAD, "net": _NET}
_BLOCK = {"r": "repeats", "k": "kernel", "s": "stride", "e": "expansion", "c": "filters", "se": "se_ratio"}
_WORDS: dict[str, Any] = {"grow": True, "relu6": "relu6"}
_FLOATS = {"dropout", "width", "bn_epsilon", "se_ratio"}
_DEFAULTS = {field.name: field.default for field in fields(Architecture)}


def _check(good: bool, message: str) -> None:
    if not good:
        raise ArchitectureError(message)


def _number(value: float) -> str:
    """The shortest text that reads back as the same number."""
    return repr(value).removesuffix(".0")


def _tagged(tag: str, architecture: Architecture, tokens: Mapping[str, str]) -> str:
    """The stage for `tag`, with the values that differ from MnasNet's; empty where none does."""
    parts = [tag]
    for token, name in tokens.items():
        value = getattr(architecture, name)
        if value != _DEFAULTS[name]:
            parts.append(token if token in _WORDS else token + _number(value))
    return "_".join(parts) if len(parts) > 1 else ""


def _parse_tagged(tokens_known: Mapping[str, str], tokens: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for token in tokens:
        name, value = _parse_token(token, tokens_known)
        _check(name not in values, f"{token!r} sets a value twice")
        values[name] = value
    return values


def _parse_token(token: str, known: Mapping[str, str]) -> tuple[str, Any]:
    if token in known and token in _WORDS:
        return known[token], _WORDS[token]
    match = re.fullmatch(r"([a-z]+)([0-9].*)", token)
    name = known.get(match[1]) if match and match[1] not in _WORDS else None
    if match is None or name is None:
        words = ", ".join(word if word in _WORDS else f"{word}<number>" for word in known)
        raise ArchitectureError(f"{token!r} is not one of {words}")
    try:
        return name, float(match[2]) if name in _FLOATS else int(match[2])
    except ValueError:
        kind = "a number" if name in _FLOATS else "a whole number"
        raise ArchitectureError(f"{token!r}: {kind} was expected after {match[1]!r}") from None


def _parse_block(code: str, tokens: list[str]) -> Block:
    if code not in CODES:
        raise ArchitectureError(f"begins with none of {', '.join([*CODES, *_TAGS])}")
    operator = CODES[code]
    skips = [SKIPS[token] for token in tokens if token in SKIPS]
    _check(len(skips) <= 1, "more than one skip")
    values = _parse_tagged(_BLOCK, [token for token in tokens if token not in SKIPS])
    for token, name in (("k", "kernel"), ("s", "stride"), ("c", "filters")):
        _check(name in values, f"{token}<number> ({name}) is missing")
    return Block(operator=operator, skip=skips[0] if skips else DEFAULT_SKIP[operator], **values)
