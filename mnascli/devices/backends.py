"""The table of device kinds: what the rest of mnas asks each. A new kind is a folder and a line in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnascli.devices.device import Core, Device, DeviceInfo, Setup
from mnascli.errors import UsageError

if TYPE_CHECKING:
    from mnascli.devices.profiles import Profile

# Where the BACKEND of each kind is, imported when needed; `mnas devices list` shows them in this order.
KINDS = {
    "host": "mnascli.devices.host",
    "adb": "mnascli.devices.adb.backend",
    "ssh": "mnascli.devices.ssh.backend",
}


def _uses_none(setup: Setup) -> tuple[int, ...]:
    return ()


def _names_none(name: str) -> None:
    return None


@dataclass(frozen=True)
class Backend:
    """One kind of device. All of it may raise NoDeviceError and DeviceError."""

    list: Callable[[], list[DeviceInfo]]
    """Every device of the kind, including unusable ones. Never raises for a device: that is a line of the list."""

    open: Callable[[DeviceInfo, Profile], Device]
    """A device that `list` shows as ready, with a profile for its kind."""

    set_up: Callable[[DeviceInfo, Path | None, Path | None], dict[str, Any]]
    """Install what runs models there: the user's program (None: the official one), tried on a reference model.

    Returns what was installed, by name. Raises UsageError if there is nothing to install."""

    cores: Callable[[DeviceInfo], Sequence[Core]]
    """The cores that a profile may name."""

    named: Callable[[str], DeviceInfo | None] = _names_none
    """The device of exactly that name if this is known without looking for any other, else None."""

    host_cores: Callable[[Setup], tuple[int, ...]] = _uses_none
    """The cores of this machine that it measures on: no training may run on them meanwhile."""

    limited_room: bool = False
    """Whether a model may be too large for the free space on it."""

    at_address: Callable[[str, str, str], DeviceInfo] | None = None
    """For kinds that are reached by a profile's address: a look at (name, address, python). None for all others."""


@cache
def backend(kind: str) -> Backend:
    """The table's row for a kind. Raises UsageError for one that is not in the table."""
    if kind not in KINDS:
        raise UsageError(f"no kind of device '{kind}': available: {', '.join(KINDS)}")
    found = import_module(KINDS[kind]).BACKEND
    assert isinstance(found, Backend)
    return found


def require_cpu(info: DeviceInfo, profile: Profile) -> None:
    """For kinds without accelerators. Raises UsageError for a profile that asks for one."""
    if profile.accelerator != "cpu":
        raise UsageError(f"profile '{profile.name}': accelerator: {info.name} runs models on its cpu only")
