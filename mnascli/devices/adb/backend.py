"""Phones over adb, as a kind of device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnascli.devices import shell_state
from mnascli.devices.adb.device import AdbDevice
from mnascli.devices.adb.listing import list_phones
from mnascli.devices.adb.setup import set_up_phone
from mnascli.devices.adb.shell import AdbShell
from mnascli.devices.backends import Backend
from mnascli.devices.device import Core, DeviceInfo
from mnascli.devices.profiles import Profile


def _open(info: DeviceInfo, profile: Profile) -> AdbDevice:
    return AdbDevice(
        info, profile.cores, profile.threads, profile.accelerator, allow_partial=profile.allow_partial_delegation
    )


def _set_up(info: DeviceInfo, program: Path | None, reference: Path | None) -> dict[str, Any]:
    done = set_up_phone(info, program, reference)
    more = {"before_sha256": done.before.sha256} if done.before else {}
    more |= {"note": done.note} if done.note else {}
    return {**done.binary.to_json(), **more}


def _cores(info: DeviceInfo) -> Sequence[Core]:
    return shell_state.read_cores(AdbShell(info.serial, info.name))


BACKEND = Backend(list=list_phones, open=_open, set_up=_set_up, cores=_cores, limited_room=True)
