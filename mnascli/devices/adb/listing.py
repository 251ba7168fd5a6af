"""The Android phones that an adb server sees, each with the reason if it cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mnascli.devices import shell_state
from mnascli.devices.adb.benchmark_binary import binary_for
from mnascli.devices.adb.shell import WHAT_TO_DO, AdbShell, adb_is_off, client, states
from mnascli.devices.device import DeviceError, DeviceInfo, slug
from mnascli.errors import NoDeviceError

# A phone that takes longer to describe itself is stuck: the list does not wait for it.
_TIMEOUT_S = 10.0


def list_phones() -> list[DeviceInfo]:
    """All attached phones in the order of their names. A problem with adb itself is a line in the list."""
    if adb_is_off():
        return []
    try:
        found = states(client())
    except (NoDeviceError, DeviceError) as error:
        return [DeviceInfo(name="adb", kind="adb", serial="", state="unavailable", problem=str(error))]
    if not found:
        return []
    with ThreadPoolExecutor(max_workers=min(16, len(found))) as pool:
        phones = list(pool.map(lambda one: _described(*one), found.items()))
    return _named(phones)


def _described(serial: str, state: str) -> tuple[DeviceInfo, str]:
    """A phone without its name yet, and its own serial number, which stays where adb's is an address."""
    info = DeviceInfo(name=serial, kind="adb", serial=serial, state=state)
    if state != "device":
        return replace(info, problem=WHAT_TO_DO.get(state, "plug it in again")), ""
    try:
        text, _ = AdbShell(serial, serial).run(shell_state.LISTING_SCRIPT, timeout_s=_TIMEOUT_S)
        props = shell_state.properties(text)
        number = props.get("ro.serialno") or serial
        ready = binary_for(number) is not None
    except DeviceError as error:
        return replace(info, state="lost", problem=str(error)), ""
    temperature = shell_state.number_after(text, "  temperature:")
    level = shell_state.number_after(text, "  level:")
    described = replace(
        info,
        state="ready" if ready else "not set up",
        model=props.get("ro.product.model", ""),
        soc=shell_state.soc(props),
        abi=props.get("ro.product.cpu.abi", ""),
        os=f"Android {props.get('ro.build.version.release', '?')}",
        temperature_c=temperature / 10 if temperature is not None else None,
        battery_percent=int(level) if level is not None else None,
    )
    return described, number


def _named(phones: Sequence[tuple[DeviceInfo, str]]) -> list[DeviceInfo]:
    """Names that are the same each time, whatever else is attached: the model and the end of the serial number."""
    short = [_name(info, number[-4:]) for info, number in phones]
    infos = []
    for (info, number), name in zip(phones, short, strict=True):
        name = name if short.count(name) == 1 else _name(info, number)
        problem = info.problem
        if info.state == "not set up":
            problem = f"it has no benchmark_model yet: run 'mnas devices setup {name}'"
        infos.append(replace(info, name=name, problem=problem))
    return sorted(infos, key=lambda info: info.name)


def _name(info: DeviceInfo, number: str) -> str:
    return f"{slug(info.model)}-{slug(number)}" if info.model and number else info.serial
