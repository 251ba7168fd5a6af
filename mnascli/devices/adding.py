"""Writing a profile of the user's own: for a board by its address, or for a device that is listed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from mnascli.devices import shell_state
from mnascli.devices.backends import backend
from mnascli.devices.device import Accelerator, DeviceInfo, require_cores
from mnascli.devices.finding import find_device
from mnascli.devices.profiles import Match, Precision, Profile, find_profile, load_profile
from mnascli.errors import MnasError, NoDeviceError, UsageError, reason
from mnascli.schema import parse
from mnascli.user_dirs import config_home


def add_profile(
    name: str,
    *,
    address: str = "",
    kind: str = "ssh",
    device: str = "",
    base: str = "",
    cores: Sequence[int] | None = None,
    threads: int | None = None,
    accelerator: Accelerator | None = None,
    precision: Precision | None = None,
    python: str = "",
    replace: bool = False,
) -> tuple[Path, Profile, DeviceInfo]:
    """Write `devices/<name>.yaml` to the user's configuration folder; returns path, content, and the device as it is.

    Exactly one of `address` (where a device of that `kind` is) and `device` is given. Whatever is not given comes from
    the profile `base`, or from the one that matches the device. Raises UsageError for values that do not fit,
    NoDeviceError or DeviceLostError if the device cannot be reached; then nothing is written.
    """
    if bool(address) == bool(device):
        raise UsageError("give either --address (a board reached over ssh) or --device (one that is listed)")
    path = config_home() / "devices" / f"{name}.yaml"
    if path.exists() and not replace:
        raise UsageError(f"{path} exists already: choose another name, or give --replace")
    # Before the device is contacted: an impossible name or address must not reach a shell.
    match: dict[str, Any] = {"kind": kind if address else "host"}
    parse(Profile, {"name": name, "match": match, "address": address}, f"profile '{name}'")
    info = _look_at_address(kind, name, address, python) if address else find_device(device)
    if device:
        match = {"kind": info.kind, "serial": info.serial}
    if info.state not in ("ready", "not set up"):
        raise NoDeviceError(f"{info.name} cannot be used ({info.state}): {info.problem}")
    if cores:
        require_cores(info.name, cores, backend(info.kind).cores(info))
    like = load_profile(base) if base else find_profile(info)
    values: dict[str, Any] = like.model_dump(mode="json") if like else {}
    chosen = {
        "cores": list(cores) if cores else None,
        "threads": threads,
        "accelerator": accelerator,
        "precision": precision,
        "address": address or None,
        "python": python or None,
    }
    values |= {key: value for key, value in chosen.items() if value is not None}
    values |= {"name": name, "match": Match.model_validate(match).model_dump(exclude_defaults=True)}
    profile = parse(Profile, values, f"profile '{name}'")
    _write(path, values, f"like {like.name}" if like else "with the defaults")
    return path, profile, info


def parse_cores(text: str) -> tuple[int, ...] | None:
    """Core numbers as in '6,7' or '4-7', None for no text. Raises UsageError."""
    try:
        return shell_state.core_list(text) or None
    except ValueError:
        raise UsageError(f"--cores {text}: numbers as in 6,7 or 4-7 were expected") from None


def _look_at_address(kind: str, name: str, address: str, python: str) -> DeviceInfo:
    look = backend(kind).at_address
    if look is None:
        raise UsageError(f"devices of kind {kind} have no address: give one from the list with --device")
    return look(name, address, python)


def _write(path: Path, values: dict[str, Any], source: str) -> None:
    empty = [key for key in ("address", "python") if not values.get(key)]
    text = yaml.safe_dump({key: value for key, value in values.items() if key not in empty}, sort_keys=False)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(f"# Written by 'mnas devices add', {source}; yours to change.\n{text}", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise MnasError(f"{path}: cannot be written: {reason(error)}") from error
