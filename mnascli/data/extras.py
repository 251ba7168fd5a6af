"""Libraries that only some users need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mnascli.errors import UsageError


def extra(module: str, name: str) -> Any:
    """The module; raises UsageError that says how to install the optional extra `name` if it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(f"this needs the package {module}: {how_to_install(name)}") from error


def how_to_install(name: str) -> str:
    """How to install the optional extra `name`."""
    return f"install it with `pip install 'mnas[{name}]'`"
