"""Which devices exist, which one a name means, and opening it. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnascli.devices.backends import KINDS, backend
from mnascli.devices.device import Device, DeviceInfo, slug
from mnascli.devices.profiles import Profile, find_profile, load_profile
from mnascli.errors import NoDeviceError, UsageError


class AmbiguousDeviceError(UsageError):
    """A name that could mean several devices."""


def list_devices() -> list[DeviceInfo]:
    """Every visible device, the host first, including those that cannot be used (with the reason)."""
    return [_with_profile(info) for kind in KINDS for info in backend(kind).list()]


def _with_profile(info: DeviceInfo) -> DeviceInfo:
    """A board already has its profile: it comes from one, whatever else would match it."""
    if info.profile:
        return info
    profile = find_profile(info)
    return replace(info, profile=profile.name if profile else "")


def open_device(name: str, profile: Profile | None = None) -> Device:
    """Open a device by the name or serial that `list_devices` shows; see `open_found`. Raises as `find_device` does."""
    return open_found(find_device(name), profile)


def open_found(info: DeviceInfo, profile: Profile | None = None) -> Device:
    """Open a device that was found, with its matching profile if none is given.

    Raises NoDeviceError if it cannot be used, UsageError if the profile does not fit it.
    """
    if info.state != "ready":
        raise NoDeviceError(f"{info.name} cannot be used ({info.state}): {info.problem}")
    profile = profile or _profile_of(info)
    if profile.match.kind != info.kind:
        raise UsageError(f"profile '{profile.name}' is for devices of kind {profile.match.kind}, not for '{info.name}'")
    return backend(info.kind).open(info, profile)


def set_up_device(name: str, program: Path | None = None, reference: Path | None = None) -> dict[str, Any]:
    """Install on a device what runs models there; returns what was installed, by name. See `Backend.set_up`.

    Raises NoDeviceError if it cannot be used, UsageError for a program that does not fit, DeviceError if it does not
    start, MnasError if it cannot be fetched.
    """
    info = find_device(name)
    brought = backend(info.kind).set_up(info, program, reference)
    return {"device": info.name, "serial": info.serial, **brought}


def find_device(name: str, listing: Callable[[], list[DeviceInfo]] = list_devices) -> DeviceInfo:
    """The device of that name or serial, or the only one of that model ('pixel-6') or whose name begins so ('pixel').

    Raises NoDeviceError, naming those that exist, if there is none, AmbiguousDeviceError if there are several.
    `listing` is called only if the name alone is not enough.
    """
    for kind in KINDS:
        info = backend(kind).named(name)
        if info is not None:
            return _with_profile(info)
    devices = listing()
    exact = [info for info in devices if name in (info.name, info.serial)]
    of_model = [info for info in devices if info.model and slug(info.model) == slug(name)]
    beginning = [info for info in devices if info.name.startswith(f"{slug(name)}-")]
    found = exact or of_model or beginning
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(f"{info.name} (serial {info.serial})" for info in found)
        raise AmbiguousDeviceError(f"'{name}' may mean {names}: name one of them")
    there = ", ".join(info.name for info in devices)
    raise NoDeviceError(f"no device '{name}': available: {there} (see 'mnas devices list')")


def profile_of(name: str) -> Profile:
    """The profile that matches a device. Raises as `find_device` does, UsageError if none matches."""
    return _profile_of(find_device(name))


def _profile_of(info: DeviceInfo) -> Profile:
    if not info.profile:
        raise UsageError(f"no profile matches device '{info.name}': write one with 'mnas devices add'")
    return load_profile(info.profile)
