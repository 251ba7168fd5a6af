"""The `benchmark_model` of each phone: where it comes from, whether it fits, and that it stays the same.

Builds differ by a factor of four in the time they need for one model, so a latency is worth nothing without the sha256
of what measured it. `mnas devices setup` records it for a phone; from then on nothing else runs there.
"""

from __future__ import annotations

import hashlib
import json
import os
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

from mnascli.devices.adb.benchmark_model import Flavour
from mnascli.errors import MnasError, NoDeviceError, UsageError, reason
from mnascli.user_dirs import cache_home, config_home

# The prebuilt LiteRT programs; there is no checksum beside them. A fixed version: 'latest' changes from month to month.
OFFICIAL = "https://storage.googleapis.com/litert/binaries/2.2.0"
OFFICIAL_FOLDERS = {"arm64-v8a": "android_arm64"}

# e_machine and class (32 or 64 bits) of ELF files, by Android's name for the ABI.
ELF_MACHINES = {
    "arm64-v8a": (183, 64),
    "armeabi-v7a": (40, 32),
    "x86_64": (62, 64),
    "x86": (3, 32),
    "riscv64": (243, 64),
}


@dataclass(frozen=True)
class Binary:
    """A benchmark_model. `source`: the address or file it came from; `abi`: what it was built for ('script': any)."""

    sha256: str
    flavour: Flavour
    abi: str
    source: str

    @property
    def runtime(self) -> str:
        """The name that results give it."""
        return f"benchmark_model {self.flavour} {self.sha256}"

    def to_json(self) -> dict[str, str]:
        return asdict(self)


def fetch_official(abi: str) -> tuple[bytes, str]:
    """The official program for an ABI, and its address. Raises UsageError if there is none, MnasError if it cannot be
    fetched."""
    if abi not in OFFICIAL_FOLDERS:
        raise UsageError(f"there is no official benchmark_model for {abi}: build it and give --binary PATH")
    address = f"{OFFICIAL}/{OFFICIAL_FOLDERS[abi]}/benchmark_model"
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            content: bytes = answer.read()
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise MnasError(
            f"{address}: cannot be fetched ({reason}): fetch it elsewhere and give --binary PATH"
        ) from error
    return content, address


def check_abi(content: bytes, abi: str, source: str) -> str:
    """The ABI a program was built for ('script' for a script). Raises UsageError if it is not the phone's `abi`."""
    if content[:2] == b"#!":
        return "script"
    if content[:4] != b"\x7fELF" or len(content) < 20:
        raise UsageError(f"{source}: not a program for Android (no ELF file): give the benchmark_model for {abi}")
    bits = {1: 32, 2: 64}.get(content[4], 0)
    machine = int.from_bytes(content[18:20], "little" if content[5] == 1 else "big")
    given = next((name for name, key in ELF_MACHINES.items() if key == (machine, bits)), f"machine {machine}")
    if given != abi:
        raise UsageError(f"{source}: built for {given}, but the phone needs {abi}: give the benchmark_model for {abi}")
    return given


def remember(serial: str, content: bytes, flavour: Flavour, abi: str, source: str) -> tuple[Binary, Binary | None]:
    """Keep a program for a phone; also what it had before, None if nothing. Raises MnasError if that fails."""
    binary = Binary(hashlib.sha256(content).hexdigest(), flavour, abi, source)
    known = _known()
    before = known.get(serial)
    known[serial] = binary
    text = json.dumps({key: one.to_json() for key, one in sorted(known.items())}, indent=2) + "\n"
    _write(_file(binary.sha256), content)
    _write(_record(), text.encode())
    return binary, before


def binary_for(serial: str) -> Binary | None:
    """What `remember` kept for a phone. Raises MnasError if the record is damaged."""
    return _known().get(serial)


def read_binary(binary: Binary, name: str) -> bytes:
    """The program itself. Raises NoDeviceError if it is no longer there or has changed."""
    path = _file(binary.sha256)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NoDeviceError(f"{path} is gone ({reason(error)}): run 'mnas devices setup {name}' again") from error
    if hashlib.sha256(content).hexdigest() != binary.sha256:
        raise NoDeviceError(f"{path} has changed: delete it and run 'mnas devices setup {name}' again")
    return content


def _record() -> Path:
    return config_home() / "benchmark_binaries.json"


def _file(sha256: str) -> Path:
    return cache_home() / "binaries" / sha256


def _known() -> dict[str, Binary]:
    path = _record()
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return {serial: Binary(**one) for serial, one in values.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise MnasError(f"{path}: cannot be read ({error}): delete it and set the phones up again") from error


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise MnasError(f"{path}: cannot be written: {reason(error)}") from error
