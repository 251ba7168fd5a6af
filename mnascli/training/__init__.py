"""Training networks, for seconds in the search and for days after it. Imports torch on use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnascli.training.checkpoint import About, load_checkpoint, load_weights, read_architecture, save_checkpoint
    from mnascli.training.loop import Trained, TrainingError, train
    from mnascli.training.recipe import Recipe
    from mnascli.training.scoring import Scores, evaluate, predict_logits, scores
    from mnascli.training.timing import seconds_per_epoch

__all__ = [
    "About",
    "Recipe",
    "Scores",
    "Trained",
    "TrainingError",
    "evaluate",
    "load_checkpoint",
    "load_weights",
    "predict_logits",
    "read_architecture",
    "save_checkpoint",
    "scores",
    "seconds_per_epoch",
    "train",
]

_MODULES = {
    "checkpoint": ("About", "load_checkpoint", "load_weights", "read_architecture", "save_checkpoint"),
    "loop": ("Trained", "TrainingError", "train"),
    "recipe": ("Recipe",),
    "scoring": ("Scores", "evaluate", "predict_logits", "scores"),
    "timing": ("seconds_per_epoch",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
