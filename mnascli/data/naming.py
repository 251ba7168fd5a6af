"""Names of classes and of data: only what a list of labels, a line of text and a JSON file can hold."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from mnascli.data.arrays import DataError

# Control characters, bytes that are not UTF-8 (as Python keeps them), line and paragraph separators.
UNFIT = ("Cc", "Cs", "Zl", "Zp")


def is_fit(name: str) -> bool:
    """Whether a name can be written in a line of UTF-8."""
    return not any(unicodedata.category(character) in UNFIT for character in name)


def shown(name: str) -> str:
    """A name as one line of text that can be printed: `caf\\xe9` for bytes that are not UTF-8."""
    return "".join(one if is_fit(one) else _escaped(one) for one in name)


def class_names(place: str, names: Sequence[str]) -> tuple[str, ...]:
    """The names without spaces at their ends and with accents in their usual form (NFC), as an export writes them.

    Raises DataError naming the first that no list of labels can hold, or two that have become equal.
    """
    before: dict[str, str] = {}
    for name in names:
        usual = unicodedata.normalize("NFC", name).strip()
        if not is_fit(name):
            wrong = "bytes that are not UTF-8" if "Cs" in map(unicodedata.category, name) else "a control character"
            raise DataError(
                f"{place}: class {shown(name)}: {wrong} in its name, which the labels of an exported file cannot have: "
                "rename it"
            )
        if not usual:
            raise DataError(f"{place}: class {name!r}: a name of spaces alone: rename it")
        if usual in before:
            raise DataError(
                f"{place}: classes {before[usual]!r} and {name!r} differ only by spaces at their ends or the form of "
                "their accents: rename one"
            )
        before[usual] = name
    return tuple(before)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else ascii(character)[1:-1]
