"""Training networks, for seconds in the search and for days after it; scoring and keeping them. Imports torch on use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnascli.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from mnascli.training.evaluate import evaluate
    from mnascli.training.loop import Trained, TrainingError, train
    from mnascli.training.recipe import Recipe
    from mnascli.training.scoring import Scores, score

__all__ = [
    "Checkpoint",
    "Recipe",
    "Scores",
    "Trained",
    "TrainingError",
    "evaluate",
    "load_checkpoint",
    "save_checkpoint",
    "score",
    "train",
]

_MODULES = {
    "checkpoint": ("Checkpoint", "load_checkpoint", "save_checkpoint"),
    "evaluate": ("evaluate",),
    "loop": ("Trained", "TrainingError", "train"),
    "recipe": ("Recipe",),
    "scoring": ("Scores", "score"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
