"""Signs of life of what has no events of its own: long trainings save their state every half minute."""

from __future__ import annotations

from pathlib import Path

from mnascli.errors import MnasError
from mnascli.runs import RunState
from mnascli.training.resume import FILE
from mnascli.training.tensors import read_about


def under_way(run: Path, state: RunState, since: float) -> list[str]:
    """The epoch of each unfinished long training that saved its state after `since` (seconds since 1970)."""
    ended = {f"{model.replace(' ', '-')}-seed{seed}" for model, seed in (*state.long_runs, *state.long_failures)}
    found = []
    for file in sorted((run / "trained").glob(f"*/{FILE}")):
        name = file.parent.name
        try:
            if name in ended or file.stat().st_mtime < since:
                continue
            about = read_about(file)
            epochs = int(about["training"]["recipe.epochs"])
            found.append(f"{name.rpartition('-seed')[0]} in epoch {min(len(about['history']) + 1, epochs)}/{epochs}")
        except (OSError, MnasError, KeyError, TypeError, ValueError):  # an unreadable sign is no sign
            continue
    return found
