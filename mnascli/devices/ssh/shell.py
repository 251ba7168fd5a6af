"""Commands on a board through the system's OpenSSH client, all over one shared connection."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from mnascli.devices.device import DeviceError, DeviceLostError
from mnascli.errors import NoDeviceError

# ssh's exit code when the connection, and not the command, failed.
LOST = 255

_TIMEOUT_S = 20.0
_WHAT_TO_DO = (
    ("Permission denied", "it asks for a password or has none of your keys: run 'ssh-copy-id {address}' once"),
    ("Host key verification failed", "its host key is unknown or has changed: run 'ssh {address}' once and look"),
    ("Could not resolve", "no machine of that name: correct 'address' in the profile"),
    ("refused", "no sshd answers: switch ssh on there (Raspberry Pi: raspi-config, Interface Options)"),
    ("timed out", "it does not answer: check its power and network"),
    ("No route", "it cannot be reached: check its power and network"),
)


class SshShell:
    """A board's shell. `address`: [user@]host as ssh takes it, also ssh://user@host:port or a name from ssh's own
    configuration; `name` is the board in messages."""

    def __init__(self, address: str, name: str) -> None:
        self.address, self.name = address, name
        # Short, because the path of a socket may have 104 characters on some systems.
        self._folder = tempfile.mkdtemp(prefix="mnas-ssh-", dir="/tmp" if Path("/tmp").is_dir() else None)

    def command(self, remote: str) -> list[str]:
        """The local command that runs a command line in the board's shell. Never asks: there is nobody to answer."""
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "8",
            "ControlMaster": "auto",
            "ControlPath": f"{self._folder}/c",
            "ControlPersist": "300",
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "3",
            "LogLevel": "ERROR",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", *words, "-T", "--", self.address, remote]

    def run(self, script: str, timeout_s: float = _TIMEOUT_S) -> tuple[str, int]:
        """What a shell script printed (both streams) and its exit code.

        Raises NoDeviceError without ssh on this machine, DeviceLostError if the board cannot be reached.
        """
        # sh runs it, whatever the user's shell there is.
        remote = f"exec sh -c {shlex.quote(f'exec 2>&1; {script}')}"
        try:
            done = subprocess.run(
                self.command(remote), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
            )
        except FileNotFoundError:
            raise NoDeviceError("no ssh on this machine: install the OpenSSH client") from None
        except OSError as error:
            raise DeviceError(f"{self.name}: ssh cannot be started: {error.strerror}") from error
        except subprocess.TimeoutExpired:
            raise DeviceLostError(f"{self.name} does not answer within {timeout_s:g} s: check its network") from None
        if done.returncode == LOST:
            raise DeviceLostError(f"{self.name} ({self.address}): {_reason(done.stderr.decode(), self.address)}")
        return done.stdout.decode("utf-8", "replace"), done.returncode

    def close(self) -> None:
        """End the shared connection. May be called twice."""
        if Path(self._folder).is_dir():
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                words = self.command("")[:-4]
                subprocess.run([*words, "-O", "exit", "--", self.address], capture_output=True, timeout=5, check=False)
            shutil.rmtree(self._folder, ignore_errors=True)


def _reason(said: str, address: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for words, what in _WHAT_TO_DO:
        if words in said:
            return what.format(address=address)
    return lines[-1][:200] if lines else "the connection is gone: check its network"
