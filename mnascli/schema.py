"""Reading YAML files into frozen, checked models; errors name the file, the key and what is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from mnascli.errors import UsageError


class Schema(BaseModel):
    """Base of everything that is read from YAML: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


S = TypeVar("S", bound=Schema)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises UsageError naming the file and, for bad YAML, the line."""
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not a text file (UTF-8 was expected)") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise UsageError(f"{path}: line {line}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"{path}: a mapping of keys to values was expected")
    return value


def parse(model: type[S], values: Mapping[str, Any], source: str) -> S:
    """Build `model` from plain values. Raises UsageError: '<source>: <key>: <what is wrong>'."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # A misspelt key first: it is often the cause of the others.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        raise UsageError(f"{source}: {_explain(model, first)}") from error


def _explain(model: type[Schema], error: ErrorDetails) -> str:
    """One line for one of pydantic's errors, with a likely spelling for an unknown key."""
    location = error["loc"]
    key = ".".join(str(part) for part in location)
    if error["type"] == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
        return f"{key}: unknown key ({hint})"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{key}: this key is required"
    if error["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key}: {message} (got {error['input']!r})"


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The field names of the model that stands at `location` below `model`."""
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
