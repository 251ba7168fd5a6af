"""Devices that run .tflite files: what there is, opening one, measuring on it. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnascli.errors import NoDeviceError, UsageError

if TYPE_CHECKING:
    from mnascli.devices.device import Device, DeviceInfo
    from mnascli.devices.profiles import Profile


def list_devices() -> list[DeviceInfo]:
    """Every device that can be seen, the host first, also those that cannot be used (with the reason)."""
    from dataclasses import replace

    from mnascli.devices.host import host_info
    from mnascli.devices.profiles import find_profile

    found = [host_info()]
    profiles = [find_profile(info) for info in found]
    return [
        replace(info, profile=profile.name if profile else "") for info, profile in zip(found, profiles, strict=True)
    ]


def open_device(name: str, profile: Profile | None = None) -> Device:
    """Open a device by the name or serial that `list_devices` shows, with its matching profile if none is given.

    Raises NoDeviceError, naming what there is, if it is not there; UsageError if the profile does not fit it.
    """
    from mnascli.devices.host import HostDevice

    info = find_device(name)
    profile = profile or profile_of(name)
    if profile.match.kind != info.kind:
        raise UsageError(f"profile '{profile.name}' is for devices of kind {profile.match.kind}, not for '{name}'")
    if profile.accelerator != "cpu":
        raise UsageError(f"profile '{profile.name}': accelerator: the host runs models on its cpu only")
    return HostDevice(cores=profile.cores, threads=profile.threads)


def find_device(name: str) -> DeviceInfo:
    """The device of that name or serial. Raises NoDeviceError, naming what there is."""
    devices = list_devices()
    for info in devices:
        if name in (info.name, info.serial):
            return info
    there = ", ".join(info.name for info in devices)
    raise NoDeviceError(f"no device '{name}': there is {there} (see 'mnas devices list')")


def profile_of(name: str) -> Profile:
    """The profile that matches a device. Raises NoDeviceError as `find_device` does, UsageError if none matches."""
    from mnascli.devices.profiles import load_profile

    info = find_device(name)
    if not info.profile:
        raise UsageError(f"no profile matches device '{name}': write one with 'mnas devices add'")
    return load_profile(info.profile)
