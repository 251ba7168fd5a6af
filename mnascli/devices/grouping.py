"""From the devices that a user names to pools of like ones, each with a name for its column of latencies."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from mnascli.devices import find_device, list_devices, open_device, profile_of
from mnascli.devices.device import DeviceInfo
from mnascli.devices.pool import Pool
from mnascli.devices.profiles import Profile, list_profiles
from mnascli.errors import NoDeviceError, UsageError


def open_pools(names: Sequence[str], known: Mapping[str, str]) -> list[Pool]:
    """One pool for each kind (model and profile) among some devices, given by name, serial, or profile (all that fit).

    A pool is called after its device, or after the profile where it has several. `known` gives the pool's name for
    names and serials of an earlier time: they keep it, and of such a pool it is enough that one device is there.
    Raises NoDeviceError naming what there is, UsageError for a device named twice.
    """
    kinds, missing = _kinds(names, known)
    pools: list[Pool] = []
    try:
        for infos in kinds.values():
            profile = profile_of(infos[0].serial)
            name = _pool_name(infos, profile, known, {pool.name for pool in pools})
            pools.append(Pool(name, profile, [open_device(info.serial, profile) for info in infos]))
        if missing is not None and not {pool.name for pool in pools} >= set(known.values()):
            raise missing
    except BaseException:
        for pool in pools:
            pool.close()
        raise
    return pools


def _kinds(
    names: Sequence[str], known: Mapping[str, str]
) -> tuple[dict[tuple[str, str, str], list[DeviceInfo]], NoDeviceError | None]:
    """The devices by kind, in the order named; and what was said of a known one that is not there."""
    kinds: dict[tuple[str, str, str], list[DeviceInfo]] = {}
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
            like = kinds.setdefault((info.kind, info.model, profile_of(info.serial).name), [])
            if info.serial in [other.serial for other in like]:
                raise UsageError(f"device '{name}' is named twice: name each device once")
            like.append(info)
    return kinds, missing


def _find(name: str) -> list[DeviceInfo]:
    """The device of that name or serial, or all that can be used of the profile of that name."""
    try:
        return [find_device(name)]
    except NoDeviceError:
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
