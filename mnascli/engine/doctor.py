"""Whether this machine has what mnas needs, and how to fix what is missing: `mnas doctor`.

Each check looks at the thing itself: litert by running a file, adb by asking its server, the disk by its free space.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from mnascli import paths
from mnascli.errors import MnasError
from mnascli.user_dirs import cache_home

OLDEST_PYTHON = (3, 11)
NEEDED_GB, COMFORTABLE_GB = 1.0, 10.0
EXTRAS = {
    "matplotlib": ("figures of a report as PNG and SVG", "figures"),
    "datasets": ("data sets of the Hugging Face hub", "huggingface"),
    "webdataset": ("data sets in tar shards", "webdataset"),
}


@dataclass(frozen=True)
class Check:
    """What was checked. `state`: ok; absent, which some users need; missing, without which mnas does not work.

    `mend` is how to fix it.
    """

    name: str
    state: Literal["ok", "absent", "missing"]
    found: str
    mend: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def examine(runs: Path) -> Iterator[Check]:
    """Every check, one after the other. None of them raises: a check that fails to run reports that."""
    checks: list[Callable[[], Check | list[Check]]] = [
        _python, _torch, _gpu, _litert, _converter, _adb, _devices, partial(_space, runs), _cores, _extras,
    ]  # fmt: skip
    for check in checks:
        try:
            found = check()
        except Exception as error:  # whatever is broken here is what the user wants to know
            name = getattr(check, "func", check).__name__.strip("_")
            found = Check(name, "missing", f"{type(error).__name__}: {error}", "fix what the message says")
        yield from found if isinstance(found, list) else [found]


def _python() -> Check:
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info < OLDEST_PYTHON:
        return Check("python", "missing", found, "install Python 3.11 or newer")
    return Check("python", "ok", found)


def _torch() -> Check:
    try:
        import torch
    except ImportError as error:
        return Check("torch", "missing", str(error), "pip install torch")
    product = (torch.ones(4, 4) @ torch.ones(4, 4)).sum().item()
    if product != 64:
        return Check("torch", "missing", f"{torch.__version__} multiplies wrongly", "reinstall torch")
    return Check("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")


def _gpu() -> Check:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Check("gpu", "ok", f"{', '.join(names)}; a search trains on each of them at once")
    if torch.backends.mps.is_available():
        return Check("gpu", "ok", "Apple's (mps)")
    mend = "training works on the CPU but takes longer; for an NVIDIA GPU, install a driver and torch built for CUDA"
    return Check("gpu", "absent", "none that torch can use", mend)


def _litert() -> Check:
    """Writes a small network as .tflite, and runs it on this machine as a search does."""
    from mnascli import tflite
    from mnascli.devices.finding import open_device
    from mnascli.space import load

    found = version("ai-edge-litert")
    with tempfile.TemporaryDirectory() as folder:
        file = tflite.write(load("mnasnet-small", size=32, classes=10), Path(folder) / "doctor.tflite")
        device = open_device("host")
        try:
            session = device.run(file, warmups=1, warmup_min_s=0, runs=5, min_s=0, timeout_s=60)
        except MnasError as error:
            return Check("litert", "missing", f"{found}: {error}", "pip install --force-reinstall ai-edge-litert")
        finally:
            device.close()
    return Check("litert", "ok", f"{found}, ran a file in {session.median_ms:.2f} ms")


def _converter() -> list[Check]:
    checks = []
    for name, purpose in (("litert-torch", "conversion"), ("ai-edge-quantizer", "quantization")):
        found = _version(name)
        mend = f"for {purpose} of trained weights: pip install {name} (Linux on x86-64, or macOS on Apple silicon)"
        checks.append(Check(name, "ok", found) if found else Check(name, "absent", "not installed", mend))
    return checks


def _adb() -> Check:
    from mnascli.devices.adb.shell import adb_is_off, client

    if adb_is_off():
        return Check("adb", "absent", "switched off", "unset MNAS_ADB to measure on phones")
    try:
        answer = client().server_version()
    except MnasError as error:
        return Check("adb", "absent", str(error), "phones need it: pip install --force-reinstall adbutils")
    return Check("adb", "ok", f"a server of version {answer} responds")


def _devices() -> list[Check]:
    from mnascli.devices.finding import list_devices

    checks = []
    for info in list_devices():
        what = " ".join(part for part in (info.kind, info.soc or info.model, info.os) if part)
        name = f"device {info.name}"
        if info.state != "ready":
            checks.append(Check(name, "absent", f"{what}: {info.state}", info.problem))
        elif not info.profile:
            mend = f"no profile matches it: write one with `mnas devices add {info.name}`"
            checks.append(Check(name, "absent", what, mend))
        else:
            checks.append(Check(name, "ok", f"{what}, profile {info.profile}"))
    if all(check.name == "device host" for check in checks):
        mend = "on the phone: developer options, USB debugging; then plug it in and allow this computer"
        checks.append(Check("phones", "absent", "none is connected", mend))
    return checks


def _space(runs: Path) -> list[Check]:
    checks = []
    for name, folder in (("runs", runs), ("cache", cache_home()), ("temporary files", Path(tempfile.gettempdir()))):
        there = next(path for path in (folder.absolute(), *folder.absolute().parents) if paths.exists(path))
        free_gb = shutil.disk_usage(there).free / 1e9
        found = f"{free_gb:.1f} GB free at {folder}"
        name = f"space for {name}"
        if not there.is_dir():
            checks.append(Check(name, "missing", f"{there} is a file", "delete it, or name another folder"))
        elif not os.access(there, os.W_OK):
            checks.append(
                Check(name, "missing", f"{there} cannot be written", "change its owner, or name another folder")
            )
        elif free_gb < COMFORTABLE_GB:
            mend = f"free some space: a long search can easily take {COMFORTABLE_GB:.0f} GB"
            checks.append(Check(name, "missing" if free_gb < NEEDED_GB else "absent", found, mend))
        else:
            checks.append(Check(name, "ok", found))
    return checks


def _cores() -> Check:
    from mnascli.devices.host import host_cores

    cores = host_cores()
    there = os.cpu_count() or 1
    if not cores:
        mend = "latencies of this machine will vary: measure on a phone, or on Linux"
        return Check("core pinning", "absent", f"{there} cores, and this system cannot pin a process to one", mend)
    found = f"{len(cores)} of {there} cores: {', '.join(str(core.index) for core in cores)}"
    if len(cores) < 2:
        mend = "nothing trains while it measures: allow two cores or more (taskset, the container's cpuset)"
        return Check("core pinning", "absent", found, mend)
    return Check("core pinning", "ok", found)


def _extras() -> list[Check]:
    checks = []
    for name, (purpose, extra) in EXTRAS.items():
        found = _version(name)
        mend = f"{purpose}: pip install 'mnas[{extra}]'"
        checks.append(Check(name, "ok", found) if found else Check(name, "absent", "not installed", mend))
    return checks


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
