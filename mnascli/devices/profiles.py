"""Device profiles: how a kind of device is recognised, set up and measured. YAML, shipped or the user's own."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from mnascli.devices.backends import KINDS, backend
from mnascli.devices.device import Accelerator, DeviceInfo
from mnascli.devices.discipline import Discipline
from mnascli.errors import UsageError
from mnascli.resources import folder
from mnascli.schema import Schema, parse, read_yaml
from mnascli.user_dirs import config_home

Precision = Literal["float32", "int8"]


class Match(Schema):
    """Which devices a profile is for; the patterns are a shell's (`Pixel 6*`), ignoring case."""

    kind: str
    model: str = "*"
    soc: str = "*"
    serial: str = "*"

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(f"no kind of device {kind!r}: available: {', '.join(KINDS)}")
        return kind

    def fits(self, info: DeviceInfo) -> bool:
        if info.kind != self.kind:
            return False
        pairs = ((info.model, self.model), (info.soc, self.soc), (info.serial, self.serial))
        return all(fnmatch.fnmatchcase(value.lower(), pattern.lower()) for value, pattern in pairs)

    def rank(self) -> tuple[bool, int]:
        """The more exact of two that fit ranks higher: a serial first, then the longer patterns."""
        return self.serial != "*", sum(len(pattern) for pattern in (self.model, self.soc) if pattern != "*")


class Profile(Schema):
    """A device profile. `cores`: 'auto' for the fastest ones, as many as `threads`, or their numbers."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    match: Match
    cores: Literal["auto"] | tuple[int, ...] = "auto"
    threads: int = Field(default=1, ge=1, le=1024)
    accelerator: Accelerator = "cpu"
    precision: Precision = "float32"
    allow_partial_delegation: bool = False
    """Whether a model counts if XNNPACK, the GPU or the NPU takes only part of it (phones)."""
    address: str = Field(default="", pattern=r"^$|^[A-Za-z0-9_.][A-Za-z0-9_.:@%/\[\]~+-]*$")
    """Where ssh finds a board: user@host, ssh://user@host:port, or a name from ssh's own configuration."""
    python: str = ""
    """The Python on the board that has ai-edge-litert; empty: the one of `mnas devices setup`, else python3."""
    measuring: Discipline = Discipline()

    @model_validator(mode="after")
    def _a_board_has_an_address(self) -> Self:
        if self.address and backend(self.match.kind).at_address is None:
            raise ValueError(f"address: devices of kind {self.match.kind} have none")
        return self

    @field_validator("cores")
    @classmethod
    def _some_cores(cls, cores: Literal["auto"] | tuple[int, ...]) -> Literal["auto"] | tuple[int, ...]:
        if not cores or (cores != "auto" and (min(cores) < 0 or max(cores) > 1023 or len(set(cores)) < len(cores))):
            raise ValueError("'auto', or a list of different core numbers from 0 to 1023, was expected")
        return cores


def own_boards() -> list[Profile]:
    """The user's profiles that define a board: those with an address. Raises UsageError for a bad file."""
    own = config_home() / "devices"
    profiles = [load_profile(path) for path in list_profiles().values() if path.parent == own]
    return [profile for profile in profiles if profile.address]


def list_profiles() -> dict[str, Path]:
    """The file of every profile by name, the user's own before the shipped one of the same name."""
    files: dict[str, Path] = {}
    for place in (folder("devices"), config_home() / "devices"):
        files.update({path.stem: path for path in sorted(place.glob("*.yaml"))})
    return files


def load_profile(name_or_path: str | Path) -> Profile:
    """A profile by its name, or from a YAML file. Raises UsageError, in one line, saying what is wrong with it."""
    files = list_profiles()
    path = files.get(str(name_or_path), Path(name_or_path))
    if path.suffix not in (".yaml", ".yml"):
        known = ", ".join(sorted(files))
        raise UsageError(f"no device profile '{name_or_path}': available: {known}, or give a .yaml file")
    profile = parse(Profile, read_yaml(path), str(path))
    if files.get(path.stem) == path and profile.name != path.stem:
        raise UsageError(f"{path}: name: '{profile.name}' must be the file's name '{path.stem}'")
    return profile


def find_profile(info: DeviceInfo) -> Profile | None:
    """The profile that matches a device most exactly; among equals the user's own. Raises UsageError for a bad file."""
    own = config_home() / "devices"
    fitting = [
        (profile.match.rank(), path.parent == own, profile)
        for path in list_profiles().values()
        if (profile := load_profile(path)).match.fits(info)
    ]
    return max(fitting, key=lambda entry: entry[:2])[2] if fitting else None
