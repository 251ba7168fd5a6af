"""An Android phone as a device: `benchmark_model` in a shell over adb, pinned to a core.

On the phone everything is in one folder of this process under /data/local/tmp, models under their content's hash. It is
made again after the phone was away, and removed on closing; what a killed process left is removed by the next one.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from mnascli.devices import shell_state
from mnascli.devices.adb.benchmark_binary import Binary, binary_for, read_binary
from mnascli.devices.adb.benchmark_model import Summary, command_line, read_output, what_went_wrong
from mnascli.devices.adb.shell import AdbShell
from mnascli.devices.device import (
    Accelerator,
    Conditions,
    Core,
    DeviceError,
    DeviceInfo,
    DeviceLostError,
    ModelError,
    Probe,
    Session,
    Setup,
    fastest_cores,
    read_model,
    require_cores,
)
from mnascli.errors import NoDeviceError

T = TypeVar("T")

STORAGE = "/data/local/tmp"
PROGRAM = "benchmark_model"

# How much longer than its own `timeout` a command on the phone may be silent.
_GRACE_S = 10.0
_CORE_TRIES = 3

_SIGNALS = {132: "SIGILL", 134: "SIGABRT", 135: "SIGBUS", 136: "SIGFPE", 137: "SIGKILL", 139: "SIGSEGV"}
_SIGNALS |= {number - 128: name for number, name in _SIGNALS.items()}

_HOST = f"{uuid.getnode() & 0xFFFFFF:06x}"
_opened = itertools.count()


class AdbDevice:
    """See `Device`. `cores`: 'auto' for the fastest that are online, or their numbers.

    Raises NoDeviceError if the phone is not set up, UsageError for a core that it lacks, DeviceLostError if it is gone.
    """

    kind = "adb"

    def __init__(
        self,
        info: DeviceInfo,
        cores: Literal["auto"] | Sequence[int] = "auto",
        threads: int = 1,
        accelerator: Accelerator = "cpu",
        allow_partial: bool = False,
    ) -> None:
        self.info = info
        self.name, self.serial = info.name, info.serial
        self._wanted, self._threads, self._accelerator = cores, threads, accelerator
        self._allow_partial = allow_partial
        self._shell = AdbShell(self.serial, self.name)
        self._folder = f"{STORAGE}/mnas-{_HOST}-{os.getpid()}-{next(_opened)}"
        self._made = False
        self._prepared = False
        self._held: dict[Path, str] = {}
        self._needed_bytes = 0
        text, _ = self._shell.run(shell_state.LISTING_SCRIPT)
        props = shell_state.properties(text)
        self._number = props.get("ro.serialno") or self.serial
        self._build = props.get("ro.build.fingerprint", "")
        binary = binary_for(self._number)
        if binary is None:
            raise NoDeviceError(f"{self.name} has no benchmark_model yet: run 'mnas devices setup {self.name}'")
        self._binary: Binary = binary
        self._program = read_binary(binary, self.name)
        self._cores = self._read_cores()
        require_cores(self.name, cores, self._cores)
        self.setup = self._choose_cores()

    @property
    def fingerprint(self) -> str:
        return f"adb/{self._number}/{self._build}/{self._binary.runtime}"

    def probe(self) -> Probe:
        """See `Device.probe`. Raises DeviceLostError also while what it lacked last time (space, a core) is missing."""
        self._prepare()
        self.setup = self._choose_cores()
        if self._needed_bytes:
            self._shell.require_free(self._needed_bytes, STORAGE)
        script = (
            f"{shell_state.CONDITIONS_SCRIPT}\nset -- {self.setup.cores[0]}\nconditions $1\n{shell_state.PROBE_SCRIPT}"
        )
        output, _ = self._shell.run(script)
        free = self._shell.free_bytes(STORAGE)
        return Probe(
            info=self.info,
            cores=self._cores,
            suggested=Setup(cores=fastest_cores(self._cores)),
            conditions=self._conditions(output, self.setup.cores),
            governor=shell_state.values(output).get("governor", ""),
            free_mb=free / 2**20 if free is not None else None,
            notes=(shell_state.clusters(self._cores),),
        )

    def run(
        self, model: Path, *, warmups: int, warmup_min_s: float, runs: int, min_s: float, timeout_s: float
    ) -> Session:
        """See `Device.run`."""
        remote = self._send(model)
        command = command_line(
            f"./{PROGRAM}",
            self._binary.flavour,
            remote,
            threads=self._threads,
            accelerator=self._accelerator,
            warmups=warmups,
            warmup_min_s=warmup_min_s,
            runs=runs,
            min_s=min_s,
            timeout_s=timeout_s,
        )
        for _ in range(_CORE_TRIES):
            try:
                return self._run_pinned(model.name, command, runs, timeout_s)
            except _CoreOfflineError:
                self._cores = self._read_cores()
                self.setup = self._choose_cores()
        raise DeviceLostError(f"{self.name}: cores {_text(self.setup.cores)} cannot be kept: it unplugs them")

    def release(self, model: Path) -> None:
        digest = self._held.pop(model, None)
        if digest is not None and digest not in self._held.values():
            with contextlib.suppress(DeviceError):
                self._shell.run(f"rm -f {shlex.quote(self._remote(digest))}")

    def close(self) -> None:
        if self._made:
            with contextlib.suppress(DeviceError):
                self._shell.run(f"rm -rf {shlex.quote(self._folder)}")
        self._prepared = self._made = False
        self._held.clear()

    # --- what is on the phone

    def _prepare(self) -> None:
        """A folder with the program in it; made from scratch if the phone was away, as it may not be the same phone."""
        if self._prepared:
            return
        self._shell.connect()
        text, _ = self._shell.run("getprop")
        props = shell_state.properties(text)
        number, build = props.get("ro.serialno") or self.serial, props.get("ro.build.fingerprint", "")
        if (number, build) != (self._number, self._build):
            raise DeviceError(f"{self.name} is not the same phone or Android as before: {number}, {build}")
        self._held.clear()
        self._remove_strays()
        folder = shlex.quote(self._folder)
        self._made = True
        output, code = self._shell.run(f"rm -rf {folder} && mkdir {folder}")
        if code != 0:
            raise DeviceError(f"{self.name}: cannot make {self._folder}: {output.strip()[:200]}")
        self._push(self._program, f"{self._folder}/{PROGRAM}", 0o755)
        output, code = self._shell.run(f"sha256sum {folder}/{PROGRAM}")
        if code == 0 and output.split()[:1] != [self._binary.sha256]:
            raise DeviceError(f"{self.name}: the benchmark_model on the phone is not the one that was sent")
        self._cores = self._read_cores()
        self._prepared = True

    def _remove_strays(self) -> None:
        """Remove the folders of this machine's processes that no longer exist."""
        output, _ = self._shell.run(f"ls {STORAGE}")
        for name in output.split():
            parts = name.split("-")
            if parts[:2] != ["mnas", _HOST] or len(parts) != 4 or not parts[2].isdigit():
                continue
            if not _lives(int(parts[2])):
                self._shell.run(f"rm -rf {STORAGE}/{shlex.quote(name)}")

    def _send(self, model: Path) -> str:
        """The name under which the phone holds the model. Read each time: the file may have been rewritten."""
        content, digest = read_model(model)
        self._lasting(self._prepare)
        if self._held.get(model) != digest:
            self.release(model)
            if digest not in self._held.values():
                self._lasting(lambda: self._push(content, self._remote(digest), 0o644))
            self._held[model] = digest
        return self._remote(digest)

    def _push(self, content: bytes, path: str, mode: int) -> None:
        self._needed_bytes = len(content)
        self._shell.require_free(len(content), STORAGE)
        self._shell.push(content, path, mode)
        self._needed_bytes = 0

    def _remote(self, digest: str) -> str:
        return f"{self._folder}/{digest}.tflite"

    def _lasting(self, step: Callable[[], T]) -> T:
        """Do something; if the phone goes away meanwhile, what it holds is no longer known."""
        try:
            return step()
        except DeviceLostError:
            self._prepared = False
            raise

    # --- running

    def _run_pinned(self, name: str, command: str, runs: int, timeout_s: float) -> Session:
        cores = self.setup.cores
        mask = f"{sum(1 << core for core in cores):x}"
        # The pinned shell prints what it is pinned to, and then becomes the program.
        pinned = f"taskset -p $$ && exec timeout -k 2 {timeout_s:g} {command}"
        script = f"""{shell_state.CONDITIONS_SCRIPT}
cd {shlex.quote(self._folder)} || exit 1
conditions {cores[0]}
echo mnas-run
taskset {mask} sh -c {shlex.quote(pinned)}
code=$?
printf '\\nmnas-ran %s\\n' $code
conditions {cores[0]}
"""
        began = time.monotonic()
        output, _ = self._lasting(lambda: self._shell.run(script, timeout_s + _GRACE_S))
        took_s = time.monotonic() - began
        before, _, rest = output.partition("mnas-run\n")
        said, _, end = rest.rpartition("\nmnas-ran ")
        code, _, after = end.partition("\n")
        if not code.isdigit():
            self._prepared = False  # somebody removed the folder: it is made again next time
            raise DeviceLostError(f"{self.name}: {self._folder} is gone from the phone")
        self._check_pinning(said, after, cores)
        summary = self._read(name, said, int(code), runs, timeout_s, took_s)
        return Session(
            median_ms=summary.median_ms,
            p5_ms=summary.p5_ms,
            p95_ms=summary.p95_ms,
            runs=summary.runs,
            before=self._conditions(before, cores),
            after=self._conditions(after, cores),
            note=summary.note,
        )

    def _check_pinning(self, said: str, after: str, cores: tuple[int, ...]) -> None:
        """Raises _CoreOfflineError unless the run was pinned to these cores and they are still online."""
        mask = said.partition("affinity mask:")[2].split()[:1]
        if not mask:
            if "nvalid argument" in said or "affinity" in said:
                raise _CoreOfflineError
            raise DeviceError(f"{self.name}: taskset does not work on this phone: {what_went_wrong(said)}")
        online = shell_state.core_list(shell_state.values(after).get("online", ""))
        if int(mask[0], 16) != sum(1 << core for core in cores) or (online and not set(cores) <= set(online)):
            raise _CoreOfflineError

    def _read(self, name: str, said: str, code: int, runs: int, timeout_s: float, took_s: float) -> Summary:
        """The numbers of a run. Raises ModelError or DeviceError depending on how it ended."""
        on = f"{name}: does not run on {self.name}"
        if code == 0:
            try:
                return read_output(said, runs=runs, accelerator=self._accelerator, allow_partial=self._allow_partial)
            except ModelError as error:
                raise ModelError(f"{on}: {error}", error.log) from error
            except DeviceError as error:
                raise DeviceError(f"{self.name}: {error}") from error
        if took_s >= timeout_s and code in (124, 137, 143):
            raise ModelError(f"{on}: not done within {timeout_s:g} s", said[-4000:])
        reason = what_went_wrong(said.partition("affinity mask:")[2].partition("\n")[2])
        if code in (126, 127) or "CANNOT LINK" in said:
            raise DeviceError(f"{self.name}: benchmark_model does not start ({reason}): run 'mnas devices setup' again")
        if code in _SIGNALS:
            memory = ", perhaps for lack of memory" if "KILL" in _SIGNALS[code] else ""
            raise ModelError(f"{on}: benchmark_model was ended by {_SIGNALS[code]}{memory}: {reason}", said[-4000:])
        raise ModelError(f"{on}: {reason} (exit code {code})", said[-4000:])

    # --- cores and conditions

    def _read_cores(self) -> tuple[Core, ...]:
        return self._lasting(lambda: shell_state.read_cores(self._shell))

    def _choose_cores(self) -> Setup:
        """Raises DeviceLostError while cores that the profile names are offline: warm phones unplug them."""
        if self._wanted == "auto":
            chosen = fastest_cores(self._cores, self._threads)
        else:
            chosen = tuple(int(core) for core in self._wanted)
            offline = [core.index for core in self._cores if core.index in chosen and not core.online]
            if offline:
                raise DeviceLostError(
                    f"{self.name}: core {offline[0]} is offline: let the phone cool, or change 'cores'"
                )
        return Setup(cores=chosen, threads=self._threads, accelerator=self._accelerator)

    def _conditions(self, text: str, cores: tuple[int, ...]) -> Conditions:
        values = shell_state.values(text)
        khz = values.get("khz", "")
        tenths = shell_state.number_after(text, " temperature:")
        thermal = shell_state.number_after(text, "Thermal Status:")
        screen = text.partition("mWakefulness=")[2].split()[:1]
        return Conditions(
            cores=cores,
            runtime=self._binary.runtime,
            os_build=self._build,
            frequency_mhz=int(khz) / 1000 if khz.isdigit() else None,
            temperature_c=tenths / 10 if tenths is not None else None,
            thermal_status=int(thermal) if thermal is not None else None,
            load=shell_state.number_after(values.get("loadavg", ""), ""),
            screen_on=screen == ["Awake"] if screen else None,
        )


class _CoreOfflineError(Exception):
    """A core that was to be used is not online, or was unplugged during the run."""


def _text(cores: Sequence[int]) -> str:
    return ", ".join(str(core) for core in cores)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
