"""The CPU of this machine as a device: a worker process, kept alive, pinned to one core."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from mnascli.devices.backends import Backend, require_cpu
from mnascli.devices.device import Core, DeviceInfo, Probe, Setup, fastest_cores, require_cores
from mnascli.devices.profiles import Profile
from mnascli.devices.worker.process import WORKER_FILE, OnWorker, WorkerProcess
from mnascli.errors import UsageError


class HostDevice(OnWorker):
    """See `Device`. `cores`: 'auto' for the fastest that this process may use, or their numbers.

    Raises UsageError for a core that this process cannot use.
    """

    name = "host"
    kind = "host"
    serial = "host"

    def __init__(self, cores: Literal["auto"] | Sequence[int] = "auto", threads: int = 1) -> None:
        usable = host_cores()
        chosen = fastest_cores(usable, threads) if cores == "auto" else tuple(int(core) for core in cores)
        require_cores("host", chosen, usable)
        self.setup = Setup(cores=chosen, threads=threads)
        pinning = ",".join(str(core) for core in chosen)
        # -P: the worker's folder holds modules of our own, which must not shadow those it imports.
        command = [sys.executable, "-P", str(WORKER_FILE), "--cores", pinning, "--threads", str(threads)]
        self._worker = WorkerProcess(command, name="host")

    @property
    def fingerprint(self) -> str:
        runtime = importlib.metadata.version("ai-edge-litert")
        return f"host/{platform.node()}/{cpu_model()}/{platform.platform()}/ai-edge-litert {runtime}"

    def probe(self) -> Probe:
        conditions = self._worker.conditions()
        usable = host_cores()
        # Linux reports more cores than this process may use, in a container or under taskset.
        fewer = len(usable) < (os.cpu_count() or 0)
        return Probe(
            info=host_info(),
            cores=usable,
            suggested=Setup(cores=fastest_cores(usable)),
            conditions=conditions,
            governor=_read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            free_mb=shutil.disk_usage(tempfile.gettempdir()).free / 2**20,
            notes=(f"this process may use {len(usable)} of {os.cpu_count()} cores",) if fewer else (),
        )


def host_cores() -> tuple[Core, ...]:
    """The cores this process may run on, with their maximum clock; empty if a process cannot be pinned."""
    if not hasattr(os, "sched_getaffinity"):
        return ()
    return tuple(Core(index, _max_mhz(index)) for index in sorted(os.sched_getaffinity(0)))


def host_info() -> DeviceInfo:
    """This machine's line in the list of devices; starts nothing."""
    return DeviceInfo(
        name="host",
        kind="host",
        serial="host",
        state="ready",
        model=platform.node(),
        soc=cpu_model(),
        abi=platform.machine(),
        os=f"{platform.system()} {platform.release()}",
    )


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith(("model name", "Hardware", "Model")):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _max_mhz(core: int) -> float | None:
    khz = _read(f"/sys/devices/system/cpu/cpu{core}/cpufreq/cpuinfo_max_freq")
    return int(khz) / 1000 if khz.isdigit() else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _open(info: DeviceInfo, profile: Profile) -> HostDevice:
    require_cpu(info, profile)
    return HostDevice(cores=profile.cores, threads=profile.threads)


def _set_up(info: DeviceInfo, program: Path | None, reference: Path | None) -> dict[str, Any]:
    if program is not None:
        raise UsageError("--binary is for phones: the host runs models with ai-edge-litert")
    raise UsageError("the host needs no setup")


BACKEND = Backend(
    list=lambda: [host_info()],
    open=_open,
    set_up=_set_up,
    cores=lambda info: host_cores(),
    named=lambda name: host_info() if name == HostDevice.name else None,
    host_cores=lambda setup: setup.cores,
)
