"""Tensors by name from whatever a training script saved, without ever running code from the file."""

from __future__ import annotations

import contextlib
import pickle
import re
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import safetensors.torch
import torch
from torch import Tensor

from mnascli import paths
from mnascli.data.sniffing import what_it_is
from mnascli.errors import UsageError, reason

Tensors = dict[str, Tensor]

# What torch.compile, DistributedDataParallel and their like put between the parts of a name.
WRAPPERS = frozenset(["_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"])
DEEPEST = 4  # levels of nested dicts that are searched
REFUSED = re.compile(r"GLOBAL (\S+) was not an allowed global")
MOST_CLASSES = 100  # that are read as nothing: no checkpoint has more


class _Nothing:
    """Stands for an object that is not a tensor (argparse.Namespace, a config): takes anything, and holds nothing."""

    def __new__(cls, *_: Any) -> _Nothing:
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def read_state_dicts(path: Path) -> list[tuple[str, Tensors]]:
    """Every group of tensors in a .pth, .pt or .safetensors file, with the names of the dicts around it.

    What wrappers put into names is removed. Raises UsageError that says what the file is if it has none.
    """
    if paths.is_dir(path):
        raise UsageError(f"{path}: a folder without a model.safetensors: give a file of weights")
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {reason(error)}") from error
    values: Any
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        try:
            values = safetensors.torch.load_file(path)
        except Exception as error:
            what = what_it_is(head) or f"not a safetensors file, or cut off: {error}"
            raise UsageError(f"{path}: {what}") from error
    else:
        values = _load(path, head)
    if isinstance(values, _Nothing):
        raise UsageError(
            f"{path}: a whole pickled network, which only its own program can read: save only its weights there, with "
            "torch.save(model.state_dict(), FILE)"
        )
    found = list(_groups(values, "", DEEPEST)) if isinstance(values, Mapping) else []
    if not found:
        raise UsageError(f"{path}: not a state dict: expected names with tensors")
    return found


def _load(path: Path, head: bytes) -> Any:
    """What `torch.load` makes of a file; objects of unknown classes come back as nothing."""
    nothing: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = []
    names: set[str] = set()
    while True:
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(warnings.catch_warnings(action="ignore"))  # TorchScript: refused below
                if nothing:
                    stack.enter_context(torch.serialization.safe_globals(nothing))
                return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch's reader raises nearly anything on damaged files
            refused = REFUSED.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
            if refused is None or refused[1] in names or len(names) == MOST_CLASSES:
                _refuse(path, head, error)
            names.add(refused[1])
            nothing.append((_Nothing, refused[1]))


def _refuse(path: Path, head: bytes, error: Exception) -> NoReturn:
    what = what_it_is(head)
    if what is None and "TorchScript" in str(error):
        what = "a TorchScript program: save only its weights, with torch.save(model.state_dict(), FILE)"
    elif what is None and zipfile.is_zipfile(path):
        holds_pickle = isinstance(error, pickle.UnpicklingError)
        what = (
            "not only weights: it holds objects that only its own program can read, or that would run code: save "
            "only the weights there, with torch.save(model.state_dict(), FILE)"
            if holds_pickle
            else "a zip archive of something other than weights: unpack it first"
        )
    elif what is None and tarfile.is_tarfile(path):
        what = "a tar archive: unpack it first"
    raise UsageError(f"{path}: {what or 'not a file of weights, or cut off: download it again'}") from error


def _groups(values: Mapping[Any, Any], place: str, depth: int) -> Iterator[tuple[str, Tensors]]:
    tensors = {_bare(name): value for name, value in values.items() if isinstance(name, str) and _is_tensor(value)}
    if tensors:
        yield place, tensors
    for name, value in values.items():
        if depth and isinstance(value, Mapping):
            yield from _groups(value, f"{place}{name}.", depth - 1)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)
