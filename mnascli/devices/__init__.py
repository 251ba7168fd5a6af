"""Devices that run .tflite files: what there is, opening one, measuring on it. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnascli.errors import NoDeviceError, UsageError

if TYPE_CHECKING:
    from mnascli.devices.device import Device, DeviceInfo
    from mnascli.devices.profiles import Profile


class AmbiguousDeviceError(UsageError):
    """A name that several devices could be meant by."""


def list_devices() -> list[DeviceInfo]:
    """Every device that can be seen, the host first, also those that cannot be used (with the reason)."""
    from mnascli.devices.adb_listing import list_phones
    from mnascli.devices.host import host_info

    return [_with_profile(info) for info in (host_info(), *list_phones())]


def _with_profile(info: DeviceInfo) -> DeviceInfo:
    from dataclasses import replace

    from mnascli.devices.profiles import find_profile

    profile = find_profile(info)
    return replace(info, profile=profile.name if profile else "")


def open_device(name: str, profile: Profile | None = None) -> Device:
    """Open a device by the name or serial that `list_devices` shows, with its matching profile if none is given.

    Raises NoDeviceError, naming what there is, if it is not there or cannot be used; UsageError if the profile does not
    fit it.
    """
    info = find_device(name)
    if info.state != "ready":
        raise NoDeviceError(f"{info.name} cannot be used ({info.state}): {info.problem}")
    profile = profile or _profile_of(info)
    if profile.match.kind != info.kind:
        raise UsageError(f"profile '{profile.name}' is for devices of kind {profile.match.kind}, not for '{name}'")
    if info.kind == "adb":
        from mnascli.devices.adb import AdbDevice

        return AdbDevice(
            info, profile.cores, profile.threads, profile.accelerator, allow_partial=profile.allow_partial_delegation
        )
    from mnascli.devices.host import HostDevice

    if profile.accelerator != "cpu":
        raise UsageError(f"profile '{profile.name}': accelerator: the host runs models on its cpu only")
    return HostDevice(cores=profile.cores, threads=profile.threads)


def find_device(name: str) -> DeviceInfo:
    """The device of that name or serial, or the only one of that model ('pixel-6') or whose name begins so ('pixel').

    Raises NoDeviceError, naming what there is, if there is none, AmbiguousDeviceError if there are several.
    """
    from mnascli.devices.adb_listing import slug
    from mnascli.devices.host import host_info

    if name == "host":  # asks no adb server
        return _with_profile(host_info())
    devices = list_devices()
    exact = [info for info in devices if name in (info.name, info.serial)]
    of_model = [info for info in devices if info.model and slug(info.model) == slug(name)]
    beginning = [info for info in devices if info.name.startswith(f"{slug(name)}-")]
    found = exact or of_model or beginning
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(f"{info.name} (serial {info.serial})" for info in found)
        raise AmbiguousDeviceError(f"'{name}' may mean {names}: say which")
    there = ", ".join(info.name for info in devices)
    raise NoDeviceError(f"no device '{name}': there is {there} (see 'mnas devices list')")


def profile_of(name: str) -> Profile:
    """The profile that matches a device. Raises as `find_device` does, UsageError if none matches."""
    return _profile_of(find_device(name))


def _profile_of(info: DeviceInfo) -> Profile:
    from mnascli.devices.profiles import load_profile

    if not info.profile:
        raise UsageError(f"no profile matches device '{info.name}': write one with 'mnas devices add'")
    return load_profile(info.profile)
