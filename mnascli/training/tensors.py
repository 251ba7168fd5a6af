"""Safetensors files: named tensors with one JSON text beside them; written under another name and renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from mnascli import paths
from mnascli.data.sniffing import what_it_is
from mnascli.errors import MnasError, UsageError, reason

KEY = "mnas"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors and the facts about them. What was at `path` stays until everything is on the disk.

    Raises MnasError if the file cannot be written (a full disk).
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = safetensors.torch.save(plain, {KEY: json.dumps(dict(about))})
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise MnasError(f"{path}: cannot be written: {reason(error)}") from error
    finally:
        with suppress(OSError):  # moved to its place, or there was no folder to write to
            beside.unlink()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote. Raises UsageError for a file that is missing, damaged, or not from mnas."""
    about = read_about(path)
    try:
        return safetensors.torch.load_file(path), about
    except (safetensors.SafetensorError, OSError) as error:
        raise UsageError(f"{path}: damaged or cut off: {error}") from error


def read_about(path: Path) -> dict[str, Any]:
    """Only the JSON of a file, without reading its tensors. Raises UsageError as `read_tensors` does."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            about = (file.metadata() or {}).get(KEY)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise UsageError(f"{path}: {_instead(path) or f'not a safetensors file, or cut off: {error}'}") from error
    if about is None:
        raise UsageError(f"{path}: a safetensors file, but not one that mnas wrote")
    return dict(json.loads(about))


def is_ours(path: Path) -> bool:
    """Whether `write_tensors` wrote the safetensors file. Raises UsageError for a damaged one."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            return KEY in (file.metadata() or {})
    except (safetensors.SafetensorError, OSError) as error:
        raise UsageError(f"{path}: {_instead(path) or f'not a safetensors file, or cut off: {error}'}") from error


def _instead(path: Path) -> str | None:
    """What a file that is not a safetensors file really is: a page, a pointer."""
    if not paths.is_file(path):
        return None
    with path.open("rb") as file:
        return what_it_is(file.read(100))
