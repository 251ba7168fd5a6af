"""The recipe of a model's full training, out of its run or a template, with what the user changes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnascli.engine.config import load, merged, resolve
from mnascli.engine.models.find import find_model
from mnascli.errors import UsageError
from mnascli.schema import load_text, parse
from mnascli.training.recipe import Recipe


def final_recipe(
    model: str, runs: Path, template: str | None, settings: Sequence[str], flags: Mapping[str, Any]
) -> Recipe:
    """The long training's recipe: the template's, or that of the run that `model` names, or the default template's.

    `settings` (KEY=VALUE) and `flags` (None means 'not given') change single values. Raises UsageError for bad ones.
    """
    run = find_model(model, runs).run if template is None else None
    config = load(run / "config.yaml") if run is not None else resolve(template, None, {})
    changes: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not equals:
            raise UsageError(f"--set {setting}: expected KEY=VALUE, as in mixup=0.2")
        if key in changes:
            raise UsageError(f"--set {setting}: {key} is set twice")
        changes[key], _ = load_text(value, f"--set {setting}")
    return parse(Recipe, merged(merged(config.final.recipe.model_dump(), changes), flags), "options")
