"""A shell and file transfer on a phone, through adbutils and one adb server: what was asked for happened, or it raises.

Which adb: `MNAS_ADB` (a path, or 'off' for no phones at all), else the one that comes with adbutils. It only starts the
server if none is running; a running server is used as it is, so that no adb ends another's. Its address:
`ANDROID_ADB_SERVER_ADDRESS` and `ANDROID_ADB_SERVER_PORT`, as for adb itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnascli.devices import shell_state
from mnascli.devices.device import DeviceError, DeviceLostError
from mnascli.errors import NoDeviceError, UsageError

if TYPE_CHECKING:
    import adbutils

SHELL_TIMEOUT_S = 20.0
RETURN_TIMEOUT_S = 3.0

WHAT_TO_DO = {
    "unauthorized": "unlock it and accept the dialog 'Allow USB debugging?' (or plug it in again to see it)",
    "authorizing": "unlock it and accept the dialog 'Allow USB debugging?'",
    "offline": "plug it in again, or switch USB debugging off and on",
    "connecting": "wait a moment, or plug it in again",
    "no permissions": "this user may not open the USB device: install Android's udev rules (package "
    "android-sdk-platform-tools-common), join the group plugdev, and plug it in again",
    "recovery": "start Android on it",
    "sideload": "start Android on it",
    "bootloader": "start Android on it",
}


def adb_is_off() -> bool:
    return os.environ.get("MNAS_ADB", "").lower() == "off"


def client() -> adbutils.AdbClient:
    """The adb server's client; starts the server if none is running.

    Raises NoDeviceError if there is no adb or its server does not start, UsageError for an invalid port.
    """
    port = os.environ.get("ANDROID_ADB_SERVER_PORT", "5037")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"ANDROID_ADB_SERVER_PORT={port}: a port number was expected")
    import adbutils

    address = os.environ.get("ANDROID_ADB_SERVER_ADDRESS", "127.0.0.1")
    try:
        with socket.create_connection((address, int(port)), timeout=3):
            pass
    except OSError:
        _start_server(_adb(), address, int(port))
    return adbutils.AdbClient(host=address, port=int(port))


def _adb() -> str:
    """The adb to start a server with. Raises NoDeviceError if there is none."""
    import adbutils

    chosen = os.environ.get("MNAS_ADB") or os.environ.get("ADBUTILS_ADB_PATH")
    if chosen:
        if not Path(chosen).is_file():
            raise NoDeviceError(f"no adb at {chosen}: correct MNAS_ADB")
        return chosen
    bundled = Path(adbutils.__file__).parent / "binaries" / ("adb.exe" if os.name == "nt" else "adb")
    if bundled.is_file():
        return str(bundled)
    try:
        return str(adbutils.adb_path())
    except adbutils.AdbError:
        raise NoDeviceError("no adb on this machine: install Android's platform tools, or set MNAS_ADB") from None


def _start_server(adb: str, address: str, port: int) -> None:
    if address not in ("127.0.0.1", "localhost", "::1"):
        raise NoDeviceError(f"no adb server answers at {address}:{port}: start it there")
    # adbutils would start it too, but with its output on our stdout, and with the adb that is first in PATH.
    os.environ.setdefault("ADBUTILS_ADB_PATH", adb)
    try:
        subprocess.run([adb, "-P", str(port), "start-server"], check=True, capture_output=True, timeout=30, text=True)
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NoDeviceError(f"the adb server does not start on port {port}: {said}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoDeviceError(f"the adb server does not start on port {port}: {error}") from error


def states(adb: adbutils.AdbClient) -> dict[str, str]:
    """The state of each attached phone by serial, in adb's words ('device' is usable). Raises DeviceError."""
    with _translated("adb"):
        found = {one.serial: one.state for one in adb.list()}
    # adb's own text has several words, of which adbutils keeps the first.
    return {serial: "no permissions" if state == "no" else state for serial, state in found.items()}


class AdbShell:
    """The shell of one phone. `serial` is adb's, `name` the phone's in messages."""

    def __init__(self, serial: str, name: str) -> None:
        self.serial, self.name = serial, name
        self._device: Any = None

    def connect(self) -> None:
        """Make sure that the phone answers; reconnect to a phone on the network.

        Raises DeviceLostError, with what to do, if it does not within RETURN_TIMEOUT_S.
        """
        try:
            adb = client()
        except NoDeviceError as error:
            raise DeviceLostError(f"{self.name}: {error}") from error
        end = time.monotonic() + RETURN_TIMEOUT_S
        while (state := states(adb).get(self.serial, "not attached")) != "device":
            if time.monotonic() > end or state in ("unauthorized", "no permissions"):
                what = WHAT_TO_DO.get(state, "plug it in")
                raise DeviceLostError(f"{self.name} is {state}: {what}")
            if re.fullmatch(r"[^:]+:\d+", self.serial):
                with _translated(self.name):
                    # adb keeps calling a phone offline that came back under its address.
                    if state == "offline":
                        adb.disconnect(self.serial)
                    adb.connect(self.serial, timeout=RETURN_TIMEOUT_S)
            time.sleep(0.1)
        self._device = adb.device(serial=self.serial)

    def run(self, script: str, timeout_s: float = SHELL_TIMEOUT_S) -> tuple[str, int]:
        """What a shell script printed (both streams) and its exit code.

        `timeout_s`: how long it may be silent. Raises DeviceLostError unless it ran to its end.
        """
        if self._device is None:
            self.connect()
        # A broken connection may look like the end of a command: only this mark proves the end.
        mark = f"mnas-end-{secrets.token_hex(6)}"
        wrapped = f"(\n{script}\n) 2>&1\nprintf '\\n{mark} %s\\n' $?"
        try:
            with _translated(self.name):
                result = self._device.shell2(wrapped, timeout=timeout_s, v2=True)
        except DeviceLostError:
            self._device = None
            raise
        # Shells before Android 7 have one stream for everything.
        output: str = (result.stdout or result.output).replace("\r\n", "\n")
        text, _, code = output.rpartition(f"\n{mark} ")
        if not code.strip().isdigit():
            self._device = None
            raise DeviceLostError(f"{self.name} went away in the middle of a command: check its cable")
        return text, int(code)

    def push(self, content: bytes, path: str, mode: int) -> None:
        """Write a file; after an error part of it may be there.

        Raises DeviceLostError if the phone is gone or lacks the space, DeviceError if it refuses.
        """
        if self._device is None:
            self.connect()
        import adbutils

        try:
            self._device.sync.push(content, path, mode=mode, check=True)
        except (adbutils.AdbError, EOFError, OSError, ValueError) as error:
            # adb says only 'FAIL': the phone has the reason.
            self._device = None
            self.connect()
            self.require_free(len(content), Path(path).parent.as_posix())
            raise DeviceError(f"{self.name}: cannot write {path} ({_one_line(error)})") from error

    def free_bytes(self, folder: str) -> int | None:
        """The free space where `folder` is; None if the phone does not say."""
        output, _ = self.run(f"df -k {shlex.quote(folder)}")
        return shell_state.free_bytes(output)

    def require_free(self, needed: int, folder: str) -> None:
        """Raises DeviceLostError if `needed` bytes do not fit: they may once the user has freed some space."""
        free = self.free_bytes(folder)
        if free is not None and free < needed:
            raise DeviceLostError(
                f"{self.name}: {needed / 1e6:.3g} MB do not fit on the phone: free some space "
                f"({free / 1e6:.3g} MB are free in {folder})"
            )


@contextlib.contextmanager
def _translated(name: str) -> Iterator[None]:
    """adb's errors as ours: anything that goes wrong between here and the phone means that it is gone."""
    import adbutils

    try:
        yield
    except (adbutils.AdbTimeout, TimeoutError) as error:
        raise DeviceLostError(f"{name} does not answer: plug it in again") from error
    except (adbutils.AdbError, EOFError, OSError, ValueError, subprocess.SubprocessError) as error:
        state = next((state for state in WHAT_TO_DO if state in str(error)), "")
        what = WHAT_TO_DO.get(state, "check its cable")
        raise DeviceLostError(f"{name} went away ({_one_line(error) or 'no end mark'}): {what}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]
