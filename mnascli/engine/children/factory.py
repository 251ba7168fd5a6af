"""The executor that a configuration names."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, cast

from mnascli.engine.children.places import Place

if TYPE_CHECKING:
    from mnascli.engine.children.executor import Executor
    from mnascli.engine.config import Config

# A new executor needs a file with the two functions `places` and `open_executor`, and a line here.
EXECUTORS = {"local": "mnascli.engine.children.local", "ray": "mnascli.engine.children.ray"}


def places(config: Config) -> Sequence[Place]:
    """Where the configured executor would run children; starts nothing. Raises UsageError for missing GPUs."""
    return cast("Sequence[Place]", import_module(EXECUTORS[config.executor]).places(config))


def open_executor(config: Config) -> Executor:
    """The configured executor. Raises as `places`."""
    return cast("Executor", import_module(EXECUTORS[config.executor]).open_executor(config))


def at_once(config: Config) -> int:
    """How many trainings run at the same time: at most as many as a batch has."""
    return min(len(places(config)), config.batch)
