"""Reading YAML files into frozen, checked models; errors name the file, the key and what is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo, field_validator

from mnascli.errors import UsageError, reason
from mnascli.strict_yaml import Location as Location
from mnascli.strict_yaml import StrictYamlError, load


class Schema(BaseModel):
    """Base of everything that is read from YAML: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Python treats True as 1. A field with a validator of its own checks for itself."""
        field = cls.model_fields[info.field_name or ""]
        if not any(isinstance(one, BeforeValidator) for one in field.metadata) and not _takes_bool(field.annotation):
            for location in _bools(value):
                raise PlacedError(location, "true or false is not allowed here")
        return value


S = TypeVar("S", bound=Schema)


class YamlFile(dict[str, Any]):
    """The mapping in a YAML file, and the line of each key and list item by its path."""

    def __init__(self, values: dict[str, Any], lines: Mapping[Location, int]) -> None:
        super().__init__(values)
        self.lines = lines


class PlacedError(ValueError):
    """Raised in a validator for what is wrong at `location`, seen from the validated model."""

    def __init__(self, location: Location, message: str) -> None:
        super().__init__(message)
        self.location = location


def read_yaml(path: Path) -> YamlFile:
    """The mapping in a YAML file. Raises UsageError naming the file and, for bad YAML, the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not a text file (UTF-8 was expected)") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {reason(error)}") from error
    except ValueError as error:  # not a file name
        raise UsageError(f"{path}: cannot be read: {error}") from error
    value, lines = load_text(text, str(path))
    if not isinstance(value, dict):
        raise UsageError(f"{path}: a mapping of keys to values was expected")
    return YamlFile(value, lines)


def load_text(text: str, source: str) -> tuple[Any, dict[Location, int]]:
    """The value of some YAML, and its lines. Raises UsageError: '<source>: line <number>: <what is wrong>'."""
    try:
        return load(text)
    except StrictYamlError as error:
        raise UsageError(f"{source}: {error}") from error


def parse(
    model: type[S],
    values: Mapping[str, Any],
    source: str,
    lines: Mapping[Location, int] | None = None,
    below: Location = (),
) -> S:
    """Build `model` from plain values. Raises UsageError: '<source>: <key>: <what is wrong>'.

    With `lines` (those of `values`, if they are a YamlFile) the line number is given too; `below` is where in
    them the values are.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        location, message = explain(model, error)
        if lines is None and isinstance(values, YamlFile):
            lines = values.lines
        line = _line(lines or {}, (*below, *location), len(below))
        key = ".".join(str(part) for part in (*below, *location))
        raise UsageError(": ".join(part for part in (source, line, key, message) if part)) from error


def _line(lines: Mapping[Location, int], location: Location, least: int) -> str:
    """'line <number>' of a location, or of the nearest around it; '' if neither is known."""
    for length in range(len(location), least, -1):
        if location[:length] in lines:
            return f"line {lines[location[:length]]}"
    return ""


def explain(model: type[Schema], error: ValidationError) -> tuple[Location, str]:
    """Where in the model the first of pydantic's errors is, and one line about it, with a likely spelling for a key."""
    # A misspelt key first: it is often the cause of the others.
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    cause = first.get("ctx", {}).get("error")
    location: Location = (*first["loc"], *(cause.location if isinstance(cause, PlacedError) else ()))
    if first["type"] == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
        return location, f"unknown key ({hint})"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return location, "this key is required"
    if first["type"] == "value_error":
        return location, message
    if first["type"] == "int_parsing_size":
        message = "far too large a number"
    got = repr(first["input"])
    return location, f"{message} (got {got if len(got) <= 80 else got[:77] + '...'})"


def _bools(value: Any, location: Location = ()) -> Iterator[Location]:
    """Where in a value there is true or false."""
    if isinstance(value, bool):
        yield location
    elif isinstance(value, Mapping | list | tuple):
        for key, one in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _bools(one, (*location, key))


def _takes_bool(annotation: Any) -> bool:
    """Whether true or false is allowed anywhere in a value of that type. A nested model checks for itself."""
    if annotation in (Any, bool) or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return True
    return any(map(_takes_bool, get_args(annotation)))


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The field names of the model at `location` below `model`."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is not None:
            model = next(_models_in(field.annotation), model)
    return list(model.model_fields)


def _models_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
