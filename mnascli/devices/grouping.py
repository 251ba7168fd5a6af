"""From the devices that a user names to pools of identical ones, each with a name for its column of latencies."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mnascli.devices.device import Device, DeviceInfo, DeviceLostError, Probe, Session, Setup, slug
from mnascli.devices.finding import find_device, list_devices, open_device, open_found
from mnascli.devices.pool import Member, Pool
from mnascli.devices.profiles import Profile, list_profiles, load_profile
from mnascli.errors import MnasError, NoDeviceError, UsageError

Alike = tuple[str, str, str]  # kind of connection, model, profile


@dataclass(frozen=True)
class Known:
    """A device of an earlier session: its pool, its name and serial, and how it was asked for."""

    pool: str
    name: str
    serial: str
    asked: str


class Missing:
    """A `Device` of an earlier session that is missing now. `probe` looks for it; once found, it is that device."""

    def __init__(self, known: Known, profile: Profile) -> None:
        self.name, self.serial = known.name, known.serial
        self.kind = profile.match.kind
        self._profile = profile
        self._found: Device | None = None

    @property
    def fingerprint(self) -> str:
        return self._found.fingerprint if self._found else ""

    @property
    def setup(self) -> Setup:
        return self._found.setup if self._found else Setup(cores=())

    def probe(self) -> Probe:
        try:
            self._found = self._found or open_device(self.serial, self._profile)
        except MnasError as error:
            raise DeviceLostError(str(error)) from error
        return self._found.probe()

    def run(
        self, model: Path, *, warmups: int, warmup_min_s: float, runs: int, min_s: float, timeout_s: float
    ) -> Session:
        if self._found is None:
            raise DeviceLostError(f"{self.name} is not there")
        return self._found.run(
            model, warmups=warmups, warmup_min_s=warmup_min_s, runs=runs, min_s=min_s, timeout_s=timeout_s
        )

    def release(self, model: Path) -> None:
        if self._found:
            self._found.release(model)

    def close(self) -> None:
        if self._found:
            self._found.close()


def open_pools(names: Sequence[str], known: Sequence[Known]) -> list[Pool]:
    """One pool for each kind (model and profile) among some devices, given by name, serial, or profile (all that fit).

    A pool is called after its device, or after the profile if it has several. Pools `known` from an earlier session
    keep their names; for such a pool it is enough that one device is there: the others count as away, and so are
    waited for. Raises NoDeviceError naming those that exist, UsageError for a device named twice.
    """
    kinds, missing = _by_kind(names, known)
    pools: list[Pool] = []
    try:
        for found in kinds.values():
            profile = load_profile(found[0][1].profile)
            infos = [info for _, info in found]
            pool = Pool(_pool_name(infos, profile, known, {other.name for other in pools}), profile, [])
            pools.append(pool)
            for asked, info in found:
                pool.members.append(Member(open_found(info, profile), asked))
        if missing is not None and not {pool.name for pool in pools} >= {one.pool for one in known}:
            raise missing
        for pool in pools:
            there = {member.device.serial for member in pool.members}
            pool.members += [
                Member(Missing(one, pool.profile), one.asked, away=True)
                for one in known
                if one.pool == pool.name and one.serial not in there
            ]
    except BaseException:
        for pool in pools:
            pool.close()
        raise
    return pools


def _by_kind(
    names: Sequence[str], known: Sequence[Known]
) -> tuple[dict[Alike, list[tuple[str, DeviceInfo]]], NoDeviceError | None]:
    """The devices of each kind, with the name each was asked for by; and the error for a known one that is gone."""
    kinds: dict[Alike, list[tuple[str, DeviceInfo]]] = {}
    missing: NoDeviceError | None = None
    listing = cache(list_devices)  # each phone answers once, however many are named
    for name in names:
        try:
            found = _find(name, listing)
        except NoDeviceError as error:
            if name not in {one.asked for one in known} | {one.serial for one in known}:
                raise
            missing = error
            continue
        for info in found:
            if not info.profile:
                raise UsageError(f"no profile matches device '{info.name}': write one with 'mnas devices add'")
            like = kinds.setdefault((info.kind, info.model, info.profile), [])
            if info.serial in [other.serial for _, other in like]:
                raise UsageError(f"device '{name}' is named twice: name each device once")
            like.append((name, info))
    return kinds, missing


def _find(name: str, listing: Callable[[], list[DeviceInfo]]) -> list[DeviceInfo]:
    """The device of that name or serial, or all usable devices of the profile of that name."""
    try:
        return [find_device(name, listing)]
    except MnasError:
        if name not in list_profiles():
            raise
        found = [info for info in listing() if info.profile == name and info.state == "ready"]
        if not found:
            raise
        return found


def _pool_name(infos: Sequence[DeviceInfo], profile: Profile, known: Sequence[Known], taken: Collection[str]) -> str:
    serials = {info.serial for info in infos}
    for one in known:
        if one.serial in serials:
            return one.pool
    name = infos[0].name if len(infos) == 1 else profile.name
    # Two models of phones may share a profile.
    return name if name not in taken else f"{name}-{slug(infos[0].model)}"
