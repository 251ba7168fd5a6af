"""Where the YAML files that ship with mnas are: in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from mnascli.errors import MnasError

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The folder `devices` or `templates`: inside the package (wheel: `mnascli/_<name>`) or beside it (checkout).

    Raises MnasError if the installation lacks it.
    """
    for candidate in (_PACKAGE / f"_{name}", _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise MnasError(f"the folder '{name}' that ships with mnas is missing: install mnas again")
