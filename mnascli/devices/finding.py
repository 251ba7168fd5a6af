"""Which devices there are, the one that a name means, and opening it. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnascli.errors import NoDeviceError, UsageError

if TYPE_CHECKING:
    from mnascli.devices.device import Device, DeviceInfo
    from mnascli.devices.profiles import Profile


class AmbiguousDeviceError(UsageError):
    """A name that several devices could be meant by."""


def list_devices() -> list[DeviceInfo]:
    """Every device that can be seen, the host first, also those that cannot be used (with the reason)."""
    from mnascli.devices.adb.listing import list_phones
    from mnascli.devices.host import host_info
    from mnascli.devices.ssh.device import list_boards

    return [_with_profile(info) for info in (host_info(), *list_phones(), *list_boards())]


def _with_profile(info: DeviceInfo) -> DeviceInfo:
    from dataclasses import replace

    from mnascli.devices.profiles import find_profile, load_profile

    # A board is its profile, whatever else would match it.
    profile = load_profile(info.name) if info.kind == "ssh" else find_profile(info)
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
        from mnascli.devices.adb.device import AdbDevice

        return AdbDevice(
            info, profile.cores, profile.threads, profile.accelerator, allow_partial=profile.allow_partial_delegation
        )
    if profile.accelerator != "cpu":
        raise UsageError(f"profile '{profile.name}': accelerator: {info.name} runs models on its cpu only")
    if info.kind == "ssh":
        from mnascli.devices.ssh.device import SshDevice

        return SshDevice(info.name, info.serial, profile.python, profile.cores, profile.threads)
    from mnascli.devices.host import HostDevice

    return HostDevice(cores=profile.cores, threads=profile.threads)


def set_up_device(name: str, program: Path | None = None, reference: Path | None = None) -> dict[str, Any]:
    """Bring to a phone or a board what runs models there: a benchmark_model (`program`, else the official one), or
    ai-edge-litert. What was brought, by name. A benchmark_model has to run the .tflite `reference`, if it is given.

    Raises NoDeviceError if it cannot be used, UsageError for a program that does not fit, DeviceError if it does not
    start, MnasError if it cannot be fetched.
    """
    info = find_device(name)
    if info.kind == "adb":
        from mnascli.devices.adb.setup import set_up_phone

        done = set_up_phone(info, program, reference)
        more = {"before_sha256": done.before.sha256} if done.before else {}
        more |= {"note": done.note} if done.note else {}
        return {"device": info.name, "serial": info.serial, **done.binary.to_json(), **more}
    if program is not None:
        raise UsageError(f"--binary is for phones: {info.name} runs models with ai-edge-litert")
    if info.kind == "ssh":
        from mnascli.devices.ssh.device import set_up_board

        return {"device": info.name, "serial": info.serial, "ai_edge_litert": set_up_board(info.name, info.serial)}
    raise UsageError("the host needs no setup")


def find_device(name: str) -> DeviceInfo:
    """The device of that name or serial, or the only one of that model ('pixel-6') or whose name begins so ('pixel').

    Raises NoDeviceError, naming what there is, if there is none, AmbiguousDeviceError if there are several.
    """
    from mnascli.devices.adb.listing import slug
    from mnascli.devices.host import host_info
    from mnascli.devices.ssh.device import list_boards

    # Asks no adb server, and no board that may be switched off, for a name that is clear.
    if name == "host":
        return _with_profile(host_info())
    if boards := list_boards([name]):
        return _with_profile(boards[0])
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
