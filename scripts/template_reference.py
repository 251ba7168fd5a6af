"""Writes docs/templates.md out of the configuration's model. Usage: python scripts/template_reference.py [--check]"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import annotated_types
from pages import write_or_check
from pydantic.fields import FieldInfo

from mnascli.engine.config import Config
from mnascli.schema import Schema
from mnascli.search import SEARCHERS

FILE = Path(__file__).parents[1] / "docs" / "templates.md"
HEAD = """# Every key of a template

Made by `make reference` out of the configuration's model; a test holds it to that. A template is a YAML file. `mnas
templates list` shows those that come with mnas, `mnas templates show quick > mine.yaml` copies one, `mnas search
--config mine.yaml` runs it. A config file may name the template it changes under the key `template`, and then needs
to have only what differs:

    template: quick
    data: ./pictures
    trials: 200
    objective: {kind: hard}

Flag > `MNAS_*` > config file > template > default. A key that is misspelt is an error that names the likely one, and
so is, with its line, one that stands twice or a number that readers of YAML take differently (010, 1:30, true).
Accuracies and shares are fractions, times milliseconds (`_ms`) or seconds (`_s`). Every value of a run, also the
defaults, stands in its `config.yaml`.
"""


def reference() -> str:
    """The whole page."""
    parts = [HEAD, *_section("", Config, "A search")]
    for name, (module, class_name) in SEARCHERS.items():
        options = getattr(import_module(module), class_name).Options
        title = f"searcher.options for `{name}`"
        parts += [f"\n## {title}\n", _table(options)] if options.model_fields else [f"\n## {title}\n\nNone.\n"]
    return "\n".join(parts)


def _section(path: str, model: type[Schema], title: str, seen: dict[type, str] | None = None) -> Iterator[str]:
    """The table of a model, then those of the models in it; a model that stood before is only pointed to."""
    seen = {} if seen is None else seen
    if model in seen:
        yield f"\n## {title}\n\nThe keys of `{seen[model]}`.\n"
        return
    seen[model] = path
    about = (model.__doc__ or "").strip().split("\n\n")[0] if "__doc__" in vars(model) and path else ""
    yield f"\n## {title}\n" + (f"\n{' '.join(about.split())}\n" if about else "")
    yield _table(model)
    for name, field in model.model_fields.items():
        below = next(_models(field.annotation), None)
        if below is not None:
            inner = f"{path}.{name}" if path else name
            yield from _section(inner, below, f"`{inner}`", seen)


def _table(model: type[Schema]) -> str:
    rows = [
        f"| `{name}` | {_cell(_kind(field))} | {_default(field)} | {_cell(_described(field))} |"
        for name, field in model.model_fields.items()
    ]
    return "\n".join(["| key | value | default | |", "|---|---|---|---|", *rows, ""])


def _kind(field: FieldInfo) -> str:
    """The type in words a YAML writer knows, with its bounds."""
    words = _type(field.annotation)
    names = {"Ge": "at least", "Gt": "above", "Le": "at most", "Lt": "below"}
    bounds = []
    for one in field.metadata:
        if isinstance(one, annotated_types.Ge | annotated_types.Gt | annotated_types.Le | annotated_types.Lt):
            word = names[type(one).__name__]
            bounds.append(f"{word} {getattr(one, type(one).__name__.lower())}")
    return ", ".join([words, *bounds])


def _type(annotation: Any) -> str:
    arguments = [one for one in get_args(annotation) if one is not Ellipsis]
    text = str(annotation)
    if isinstance(annotation, type) and not arguments:
        simple = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null"}
        return "keys, see below" if issubclass(annotation, Schema) else simple.get(annotation, annotation.__name__)
    if text.startswith("typing.Literal"):
        return " or ".join(str(one) for one in arguments)
    if text.startswith("typing.Annotated"):
        return _type(arguments[0])
    if text.startswith(("tuple", "list")):
        return f"list of {_type(arguments[0])}"
    if text.startswith("dict"):
        return "keys" if arguments[1] is Any else f"{_type(arguments[1])} for each {_type(arguments[0])}"
    return " or ".join(_type(one) for one in arguments) or "anything"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Schema):
        return ""
    words = {None: "null", True: "true", False: "false", "": '""'}
    if isinstance(value, tuple | list):
        return f"`[{', '.join(str(one) for one in value)}]`"
    return f"`{words[value] if value is None or isinstance(value, bool) or value == '' else value}`"


def _described(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _models(annotation: Any) -> Iterator[type[Schema]]:
    if isinstance(annotation, type) and issubclass(annotation, Schema):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


if __name__ == "__main__":
    write_or_check(FILE, reference())
