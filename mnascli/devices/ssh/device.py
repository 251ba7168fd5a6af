"""A Linux board (Raspberry Pi and the like) as a device: `worker.py` in its Python, over one OpenSSH connection.

The worker is sent as an argument to Python, and models through the connection: no file is left on the board.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

from mnascli.devices import shell_state
from mnascli.devices.device import DeviceError, DeviceInfo, Probe, Setup, fastest_cores, require_cores
from mnascli.devices.profiles import Profile, own_boards
from mnascli.devices.ssh.shell import LOST, SshShell
from mnascli.devices.worker.process import WORKER_FILE, OnWorker, WorkerProcess
from mnascli.errors import MnasError, NoDeviceError

# What the wheels of ai-edge-litert for aarch64 were built against.
NEEDED_GLIBC = (2, 34)

# Where `set_up_board` puts a Python of our own; Raspberry Pi OS bars pip from the system's.
_ENVIRONMENT = "~/.cache/mnas/litert"

# `~` is the home at the far end, for its shell to fill in.
_DESCRIBE = f"""
python={{python}}
if [ -z "$python" ]; then
  python={_ENVIRONMENT}/bin/python
  [ -x "$python" ] || python=$(command -v python3)
fi
echo "python=$python"
echo "machine=$(uname -m)"
echo "libc=$(getconf GNU_LIBC_VERSION 2>/dev/null)"
echo "board=$(tr -d '\\0' 2>/dev/null </proc/device-tree/model)"
echo "id=$(cat /etc/machine-id 2>/dev/null)"
echo "os=$(. /etc/os-release 2>/dev/null && echo "$PRETTY_NAME")"
echo "soc=$(tr '\\0' '\\n' 2>/dev/null </proc/device-tree/compatible | tail -n 1)"
echo "heat=$(cat /sys/class/thermal/thermal_zone0/temp 2>/dev/null)"
echo "litert=$("$python" -c 'import importlib.metadata as m; print(m.version("ai-edge-litert"))' 2>/dev/null)"
"""


@dataclass(frozen=True)
class Board:
    """What a board reports about itself. `python` runs the worker, `litert` is its ai-edge-litert version or ''."""

    info: DeviceInfo
    python: str
    litert: str
    machine_id: str


def list_boards(names: Sequence[str] | None = None) -> list[DeviceInfo]:
    """The boards of the user's profiles (only these names or addresses), including those that cannot be used."""
    boards = [one for one in own_boards() if names is None or one.name in names or one.address in names]
    if not boards:
        return []
    with ThreadPoolExecutor(max_workers=min(16, len(boards))) as pool:
        return list(pool.map(_look, boards))


def _look(profile: Profile) -> DeviceInfo:
    shell = SshShell(profile.address, profile.name)
    try:
        return replace(look_at(shell, profile.python).info, profile=profile.name)
    except MnasError as error:
        return DeviceInfo(
            name=profile.name,
            kind="ssh",
            serial=profile.address,
            state="unreachable",
            problem=str(error),
            profile=profile.name,
        )
    finally:
        shell.close()


def look_at(shell: SshShell, python: str = "") -> Board:
    """Look at a board. Raises DeviceLostError, with what to do, if it cannot be reached."""
    text, _ = shell.run(_DESCRIBE.format(python=shlex.quote(python)))
    found = shell_state.values(text)
    heat = found.get("heat", "")
    info = DeviceInfo(
        name=shell.name,
        kind="ssh",
        serial=shell.address,
        state="ready",
        model=found.get("board", ""),
        soc=found.get("soc", ""),
        abi=found.get("machine", ""),
        os=found.get("os", ""),
        temperature_c=int(heat) / 1000 if heat.isdigit() else None,
    )
    litert = found.get("litert", "")
    if problem := _libc_problem(found.get("libc", "")):
        info = replace(info, state="too old", problem=problem)
    elif not found.get("python"):
        info = replace(info, state="not set up", problem="it has no python3: install it there")
    elif not litert:
        info = replace(
            info, state="not set up", problem=f"it has no ai-edge-litert: run 'mnas devices setup {shell.name}'"
        )
    return Board(info, found.get("python", ""), litert, found.get("id", ""))


def _libc_problem(libc: str) -> str:
    """Why the runtime cannot be installed there, '' if it can."""
    needed = ".".join(str(part) for part in NEEDED_GLIBC)
    name, _, version = libc.partition(" ")
    if name != "glibc":
        return f"ai-edge-litert needs glibc {needed}, and this system has a different C library: use Debian or the like"
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < NEEDED_GLIBC:
        return f"its glibc is {version}, but ai-edge-litert needs {needed}: use Raspberry Pi OS Bookworm or newer"
    return ""


def set_up_board(name: str, address: str) -> str:
    """Install ai-edge-litert in a Python environment of its own on the board; returns the installed version.

    Raises NoDeviceError if its system is too old, DeviceError with pip's last line if it fails.
    """
    shell = SshShell(address, name)
    try:
        board = look_at(shell)
        if board.info.state == "too old":
            raise NoDeviceError(f"{name}: {board.info.problem}")
        steps = f"python3 -m venv {_ENVIRONMENT} && {_ENVIRONMENT}/bin/pip install --quiet ai-edge-litert numpy"
        output, code = shell.run(steps, timeout_s=900)
        if code != 0:
            last = (output.strip().splitlines() or ["no reason given"])[-1]
            raise DeviceError(f"{name}: ai-edge-litert cannot be installed: {last[:200]}")
        return look_at(shell).litert
    finally:
        shell.close()


class SshDevice(OnWorker):
    """See `Device`. `cores`: 'auto' for the fastest that are online, or their numbers.

    Raises NoDeviceError if the board cannot be reached or used, UsageError for a core that it lacks.
    """

    kind = "ssh"

    def __init__(
        self,
        name: str,
        address: str,
        python: str = "",
        cores: Literal["auto"] | Sequence[int] = "auto",
        threads: int = 1,
    ) -> None:
        self.name, self.serial = name, address
        self._shell = SshShell(address, name)
        try:
            self._board = look_at(self._shell, python)
            if self._board.info.state != "ready":
                raise NoDeviceError(f"{name} cannot be used: {self._board.info.problem}")
            found = shell_state.read_cores(self._shell)
            require_cores(name, cores, found)
        except BaseException:
            self._shell.close()
            raise
        chosen = fastest_cores(found, threads) if cores == "auto" else tuple(int(core) for core in cores)
        self.setup = Setup(cores=chosen, threads=threads)
        words = ["-c", WORKER_FILE.read_text(encoding="utf-8"), "--cores", ",".join(map(str, chosen))]
        words += ["--threads", str(threads)]
        remote = f"exec {shlex.quote(self._board.python)} {' '.join(shlex.quote(word) for word in words)}"
        self._worker = WorkerProcess(self._shell.command(remote), name, send="bytes", lost_exit_code=LOST)

    @property
    def fingerprint(self) -> str:
        info = self._board.info
        machine = self._board.machine_id or self.serial
        return f"ssh/{machine}/{info.model}/{info.os}/{info.abi}/ai-edge-litert {self._board.litert}"

    def probe(self) -> Probe:
        found = shell_state.read_cores(self._shell)
        output, _ = self._shell.run("df -k .; cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor 2>/dev/null")
        free = shell_state.free_bytes(output)
        last = output.strip().splitlines()[-1]
        return Probe(
            info=self._board.info,
            cores=found,
            suggested=Setup(cores=fastest_cores(found)),
            conditions=self._worker.conditions(),
            governor=last if last.isalpha() else "",
            free_mb=free / 2**20 if free is not None else None,
            notes=(shell_state.clusters(found),),
        )

    def close(self) -> None:
        super().close()
        self._shell.close()
