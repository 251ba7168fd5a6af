"""YAML as people read it: what other readers silently misinterpret is an error with its line number.

PyYAML's own loader keeps the last of two equal keys and reads YAML 1.1, in which 010 is 8, 1:30 is 90, `no` is false
and 2026-11-28 a date. Here only these are not text: whole numbers and fractions in decimal, `true`, `false` and `null`,
as in YAML 1.2. The events of its parser are taken one by one, so that no nesting is too deep for Python.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

Location = tuple[int | str, ...]  # keys and positions from the top of a document down

MAX_DEPTH = 50
MAX_VALUES = 100_000  # aliases counted as what they stand for: a few lines of them can mean billions

_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WHOLE = re.compile(r"[-+]?[0-9][0-9_]*")
_FRACTION = re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]")


class StrictYamlError(ValueError):
    """What is wrong, in one line without the file's name, and the number of the line it is on."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")


@dataclass
class _Open:
    """A mapping or list that is being read; `count` counts the values in it."""

    value: dict[str, Any] | list[Any]
    location: Location
    anchor: str | None
    key: str | None = None
    merged: dict[str, Any] = field(default_factory=dict)
    """What `<<` adds; the mapping's own keys override it."""
    count: int = 1


def load(text: str) -> tuple[Any, dict[Location, int]]:
    """The value of a document, None for an empty one, and the line (from 1) of every key and list item in it.

    Raises StrictYamlError.
    """
    reading = _Reading()
    line = 1
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else line
            reading.take(event, line)
    except StrictYamlError:
        raise
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise StrictYamlError(line, "not valid YAML: a character that is not allowed") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else line
        raise StrictYamlError(line, f"not valid YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # such as "\UFFFFFFFF", which is not a character
        raise StrictYamlError(line, "not valid YAML") from error
    return reading.result, reading.lines


class _Reading:
    """The state between two events."""

    def __init__(self) -> None:
        self.result: Any = None
        self.lines: dict[Location, int] = {}
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._documents = 0

    def take(self, event: Event, line: int) -> None:
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise StrictYamlError(line, "a second document begins here: one was expected")
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            ended = self._open.pop()
            if isinstance(ended.value, dict):
                ended.value |= {key: value for key, value in ended.merged.items() if key not in ended.value}
            self._add(ended.value, line, ended.anchor, ended.count)
        elif isinstance(event, ScalarEvent):
            _refuse_tag(event, line)
            inside = self._open[-1] if self._open else None
            if inside is not None and isinstance(inside.value, dict) and inside.key is None:
                self._take_key(inside, event, line)
            else:
                self._add(_scalar(event, line), line, event.anchor)
        elif isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                raise StrictYamlError(line, f"*{event.anchor} is undefined: no &{event.anchor} ends before it")
            value, count = self._anchors[event.anchor]
            self._refuse_as_key(line)
            self._add(value, line, None, count)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            _refuse_tag(event, line)
            self._refuse_as_key(line)
            if len(self._open) == MAX_DEPTH:
                raise StrictYamlError(line, f"nested more than {MAX_DEPTH} deep")
            location = self._next_location()
            self.lines.setdefault(location, line)
            self._open.append(_Open({} if isinstance(event, MappingStartEvent) else [], location, event.anchor))

    def _refuse_as_key(self, line: int) -> None:
        if self._open and isinstance(self._open[-1].value, dict) and self._open[-1].key is None:
            raise StrictYamlError(line, "a key must be plain text")

    def _take_key(self, inside: _Open, event: ScalarEvent, line: int) -> None:
        key = event.value
        location = (*inside.location, key)
        if location in self.lines:
            raise StrictYamlError(line, f"the key '{key}' appears twice, first in line {self.lines[location]}")
        self.lines[location] = line
        inside.key = key

    def _next_location(self) -> Location:
        if not self._open:
            return ()
        inside = self._open[-1]
        return (*inside.location, len(inside.value) if isinstance(inside.value, list) else str(inside.key))

    def _add(self, value: Any, line: int, anchor: str | None, count: int = 1) -> None:
        """Put a value where it belongs."""
        if anchor is not None:
            self._anchors[anchor] = value, count
        if not self._open:
            self.result = value
            return
        inside = self._open[-1]
        inside.count += count
        if inside.count > MAX_VALUES:
            raise StrictYamlError(line, f"more than {MAX_VALUES:,} values: this is not a configuration")
        if isinstance(inside.value, list):
            self.lines.setdefault(self._next_location(), line)
            inside.value.append(value)
            return
        assert inside.key is not None
        if inside.key == "<<":
            for one in value if isinstance(value, list) else [value]:
                if not isinstance(one, dict):
                    raise StrictYamlError(line, "<< takes a mapping (*name), or a list of them")
                inside.merged = one | inside.merged
        else:
            inside.value[inside.key] = value
        inside.key = None


def _refuse_tag(event: ScalarEvent | MappingStartEvent | SequenceStartEvent, line: int) -> None:
    if event.tag is not None:
        raise StrictYamlError(line, f"tags are not supported here: leave out {str(event.tag)[:50]}")


def _scalar(event: ScalarEvent, line: int) -> Any:
    text: str = event.value
    try:
        text.encode()
    except UnicodeEncodeError:
        raise StrictYamlError(line, "not valid YAML: half a character") from None
    if not event.implicit[0]:  # in quotes, or a block of text
        return text
    if text in _WORDS:
        return _WORDS[text]
    if not _FRACTION.fullmatch(text):
        return text
    if _LEADING_ZERO.match(text):
        raise StrictYamlError(
            line, f"{text[:50]} begins with a 0, which some readers take as octal: leave it out, or quote the value"
        )
    try:
        return int(text) if _WHOLE.fullmatch(text) else float(text)
    except ValueError:  # 1__0, or thousands of digits
        return text
