"""What MODEL means on the command line: a zoo name, a string, a checkpoint, a run's winner or one of its trials."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mnascli import paths
from mnascli.errors import UsageError
from mnascli.runs import find_run, is_run, read_state
from mnascli.runs.summary import winner_of
from mnascli.runs.winner import name_of
from mnascli.space import ZOO, Architecture, ArchitectureError, load


@dataclass(frozen=True)
class Model:
    """An architecture, its trained weights if there are any, and the run it came from."""

    name: str
    architecture: Architecture
    checkpoint: Path | None = None
    run: Path | None = None

    def weights(self) -> Path:
        """The checkpoint. Raises UsageError for a model that is not trained."""
        if self.checkpoint is None:
            raise UsageError(f"{self.name}: has no trained weights: `mnas train {self.name}` makes a checkpoint")
        return self.checkpoint


def find_model(text: str, runs: Path) -> Model:
    """The model that `text` names. Raises UsageError that lists what it could have been, or what is wrong with it."""
    if text in ZOO:
        return Model(text, load(text))
    path = Path(text)
    if path.suffix == ".safetensors" or paths.is_file(path / "model.safetensors"):
        from mnascli.training.checkpoint import read_architecture

        file = path if path.suffix == ".safetensors" else path / "model.safetensors"
        return Model(text, read_architecture(file), file)
    name, _, trial = text.partition(":")
    if is_run(runs / name) or is_run(Path(name)):
        return _of_run(text, find_run(name, runs), trial)
    try:
        return Model("architecture", Architecture.parse(text))
    except ArchitectureError as error:
        if re.match(r"(stem|cn|dsa?|ir)_", text):
            raise
        raise UsageError(
            f"{shorten(text)} is not a model: neither in the zoo ({', '.join(ZOO)}), nor a checkpoint, "
            f"nor a run in {runs}, nor an architecture string ({error})"
        ) from error


def _of_run(text: str, path: Path, trial: str) -> Model:
    state = read_state(path)
    if trial:
        if not trial.isdigit() or int(trial) not in state.trials:
            raise UsageError(f"{text}: the run has trials 0 to {len(state.trials) - 1}")
        number = int(trial)
    else:
        number = winner_of(state, path).trial
    trained = [one for (name, _), one in sorted(state.long_runs.items()) if name == name_of(number)]
    checkpoint = path / trained[0]["checkpoint"] if trained else None
    return Model(text, Architecture.parse(state.trials[number].architecture), checkpoint, path)


def shorten(text: str, most: int = 80) -> str:
    """A user's text as quoted in an error."""
    return repr(text) if len(text) <= most else f"{text[:most]!r}..."
