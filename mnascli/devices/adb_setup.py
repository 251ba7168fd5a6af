"""Bringing the measuring program to a phone: fetched or given, tried on the phone, written down."""

from __future__ import annotations

import contextlib
import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path

from mnascli.devices import shell_state
from mnascli.devices.adb import PROGRAM, STORAGE
from mnascli.devices.adb_shell import AdbShell
from mnascli.devices.benchmark_binary import Binary, check_abi, fetch_official, remember
from mnascli.devices.benchmark_model import flavour_of, what_went_wrong
from mnascli.devices.device import DeviceError, DeviceInfo
from mnascli.errors import NoDeviceError, UsageError


@dataclass(frozen=True)
class SetUp:
    """`binary` runs on the phone from now on, `before` did until now (None: nothing)."""

    binary: Binary
    before: Binary | None


def set_up_phone(info: DeviceInfo, program: Path | None = None) -> SetUp:
    """Try a benchmark_model (None: the official one for the phone's ABI) on a phone and remember it.

    Leaves nothing on the phone. Raises UsageError for a program that is not for this phone, DeviceError if it does not
    start there, MnasError if it cannot be fetched.
    """
    if info.state not in ("ready", "not set up"):
        raise NoDeviceError(f"{info.name} cannot be used ({info.state}): {info.problem}")
    if program is None:
        content, source = fetch_official(info.abi)
    else:
        try:
            content, source = program.read_bytes(), str(program)
        except OSError as error:
            raise UsageError(f"{program}: cannot be read: {error.strerror}") from error
    abi = check_abi(content, info.abi, source)
    shell = AdbShell(info.serial, info.name)
    props, _ = shell.run("getprop")
    number = shell_state.properties(props).get("ro.serialno") or info.serial
    binary, before = remember(number, content, flavour_of(_usage(shell, content)), abi, source)
    return SetUp(binary, before)


def _usage(shell: AdbShell, content: bytes) -> str:
    """What the program prints for --help on the phone. Raises DeviceError if it does not start there."""
    folder = f"{STORAGE}/mnas-setup-{secrets.token_hex(4)}"
    quoted = shlex.quote(folder)
    try:
        shell.run(f"mkdir {quoted}")
        shell.require_free(len(content), STORAGE)
        shell.push(content, f"{folder}/{PROGRAM}", 0o755)
        output, code = shell.run(f"cd {quoted} && timeout 10 ./{PROGRAM} --help")
    finally:
        with contextlib.suppress(DeviceError):
            shell.run(f"rm -rf {quoted}")
    if code in (126, 127) or code >= 128 or "CANNOT LINK" in output:
        raise DeviceError(f"{shell.name}: the program does not start there: {what_went_wrong(output)}")
    return output
