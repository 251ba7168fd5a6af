"""Where mnas keeps what belongs to the user and not to a run: prepared data, downloads, device settings."""

from __future__ import annotations

import os
from pathlib import Path


def cache_home() -> Path:
    """What can be made again: $MNAS_CACHE_HOME, else $XDG_CACHE_HOME/mnas, else ~/.cache/mnas. Not created here."""
    return _home("MNAS_CACHE_HOME", "XDG_CACHE_HOME", ".cache")


def config_home() -> Path:
    """What the user wrote: $MNAS_CONFIG_HOME, else $XDG_CONFIG_HOME/mnas, else ~/.config/mnas. Not created here."""
    return _home("MNAS_CONFIG_HOME", "XDG_CONFIG_HOME", ".config")


def _home(own: str, shared: str, default: str) -> Path:
    if own_folder := os.environ.get(own):
        return Path(own_folder).expanduser()
    shared_folder = Path(os.environ.get(shared, ""))
    # The XDG standard says to ignore a relative path there.
    return (shared_folder if shared_folder.is_absolute() else Path.home() / default) / "mnas"
