"""From the devices that a user names to pools of like ones, each with a name for its column of latencies."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from mnascli.devices import find_device, list_devices, open_device
from mnascli.devices.device import DeviceInfo
from mnascli.devices.pool import Member, Pool
from mnascli.devices.profiles import Profile, list_profiles, load_profile
from mnascli.errors import MnasError, NoDeviceError, UsageError

Kind = tuple[str, str, str]  # of connection, model, profile


def open_pools(names: Sequence[str], known: Mapping[str, str]) -> list[Pool]:
    """One pool for each kind (model and profile) among some devices, given by name, serial, or profile (all that fit).

    A pool is called after its device, or after the profile where it has several. `known` gives the pool's name for
    names and serials of an earlier time: they keep it, and of such a pool it is enough that one device is there.
    Raises NoDeviceError naming what there is, UsageError for a device named twice.
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
                pool.members.append(Member(open_device(info.serial, profile), asked))
        if missing is not None and not {pool.name for pool in pools} >= set(known.values()):
            raise missing
    except BaseException:
        for pool in pools:
            pool.close()
        raise
    return pools


def _by_kind(
    names: Sequence[str], known: Mapping[str, str]
) -> tuple[dict[Kind, list[tuple[str, DeviceInfo]]], NoDeviceError | None]:
    """The devices of each kind, with the name each was asked for by; and what was said of a known one that is gone."""
    kinds: dict[Kind, list[tuple[str, DeviceInfo]]] = {}
    missing: NoDeviceError | None = None
    for name in names:
        try:
            found = _find(name)
        except NoDeviceError as error:
            if name not in known:
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


def _find(name: str) -> list[DeviceInfo]:
    """The device of that name or serial, or all that can be used of the profile of that name."""
    try:
        return [find_device(name)]
    except MnasError:
        if name not in list_profiles():
            raise
        found = [info for info in list_devices() if info.profile == name and info.state == "ready"]
        if not found:
            raise
        return found


def _pool_name(infos: Sequence[DeviceInfo], profile: Profile, known: Mapping[str, str], taken: Collection[str]) -> str:
    for info in infos:
        if info.serial in known:
            return known[info.serial]
    name = infos[0].name if len(infos) == 1 else profile.name
    # Two models of phones may share a profile.
    return name if name not in taken else f"{name}-{re.sub(r'[^a-z0-9]+', '-', infos[0].model.lower()).strip('-')}"
