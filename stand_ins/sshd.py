"""A real sshd on loopback, for this user alone, with a folder as its home; and what makes `ssh` find it."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self


def missing() -> str:
    """Why there can be no sshd here, '' if there can."""
    if shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        return "no OpenSSH client on this machine"
    if _sshd() is None:
        return "no sshd on this machine (Debian: openssh-server)"
    if os.getuid() == 0 and not Path("/run/sshd").is_dir():
        with contextlib.suppress(OSError):
            Path("/run/sshd").mkdir(mode=0o755)
        if not Path("/run/sshd").is_dir():
            return "sshd needs /run/sshd"
    return ""


def _sshd() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Sshd:
    """Listens until it is left. `path` goes before PATH: its `ssh` reads no configuration or key of the user's.

    `accepts_key`: otherwise it asks for a password, whatever the client brings.
    """

    def __init__(self, folder: Path, accepts_key: bool = True) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.path = folder / "bin"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.address = f"{getpass.getuser()}@127.0.0.1"
        for place in (self.home, self.path):
            place.mkdir(parents=True)
        for key in ("host_key", "user_key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)],
                check=True,
                stdin=subprocess.DEVNULL,
            )
        keys = folder / "authorized_keys"
        keys.write_text((folder / "user_key.pub").read_text() if accepts_key else "")
        host_key = (folder / "host_key.pub").read_text()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {host_key}")
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host_key'}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {keys}\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication yes\n"
            f"SetEnv HOME={self.home} XDG_CACHE_HOME={self.home}/.cache\n"
        )
        (folder / "ssh_config").write_text(
            f"Host *\n  Port {self.port}\n  IdentityFile {folder / 'user_key'}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {folder / 'known_hosts'}\n  GlobalKnownHostsFile /dev/null\n  IdentityAgent none\n"
        )
        script = self.path / "ssh"
        script.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder / "ssh_config"} "$@"\n')
        script.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        sshd = _sshd()
        assert sshd is not None
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [sshd, "-D", "-e", "-f", str(self.folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        end = time.monotonic() + 10
        while time.monotonic() < end and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"sshd does not start: {(self.folder / 'log').read_text()[-500:]}")

    def stop(self) -> None:
        """As if the board lost its power: no new connection, and those there are end."""
        if self._process is None:
            return
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._process.pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        for pid in [self._process.pid, *map(int, children)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self._process.wait()
        self._process = None
