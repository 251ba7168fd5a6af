"""Boards over ssh, as a kind of device: each is a profile with an address."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from mnascli.devices import shell_state
from mnascli.devices.backends import Backend, require_cpu
from mnascli.devices.device import Core, DeviceInfo
from mnascli.devices.profiles import Profile
from mnascli.devices.ssh.device import SshDevice, list_boards, look_at, set_up_board
from mnascli.devices.ssh.shell import SshShell
from mnascli.errors import UsageError


def _named(name: str) -> DeviceInfo | None:
    """Contacts no other board: it may be switched off."""
    return next(iter(list_boards([name])), None)


def _open(info: DeviceInfo, profile: Profile) -> SshDevice:
    require_cpu(info, profile)
    return SshDevice(info.name, info.serial, profile.python, profile.cores, profile.threads)


def _set_up(info: DeviceInfo, program: Path | None, reference: Path | None) -> dict[str, Any]:
    if program is not None:
        raise UsageError(f"--binary is for phones: {info.name} runs models with ai-edge-litert")
    return {"ai_edge_litert": set_up_board(info.name, info.serial)}


def _cores(info: DeviceInfo) -> Sequence[Core]:
    with closing(SshShell(info.serial, info.name)) as shell:
        return shell_state.read_cores(shell)


def _at_address(name: str, address: str, python: str) -> DeviceInfo:
    with closing(SshShell(address, name)) as shell:
        return look_at(shell, python).info


BACKEND = Backend(list=list_boards, open=_open, set_up=_set_up, cores=_cores, named=_named, at_address=_at_address)
