"""What a phone or a board reports about itself in a shell: properties, cores, temperature, load."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from mnascli.devices.device import Core, DeviceError

CPU = "/sys/devices/system/cpu"

# Prints a phone's `conditions <core>`: lines of 'key=value', then what three services say about heat and screen.
# Missing tools and files give empty values. It starts few processes: it runs twice a session, and each takes some ms.
CONDITIONS_SCRIPT = f"""
conditions() {{
  online= khz= load=
  {{
    read -r online <{CPU}/online
    read -r khz <{CPU}/cpu$1/cpufreq/scaling_cur_freq
    read -r load </proc/loadavg
    printf 'online=%s\\nkhz=%s\\nloadavg=%s\\n' "$online" "$khz" "$load"
    {{ dumpsys battery; dumpsys thermalservice; dumpsys power; }} |
      grep -E ' temperature:|Thermal Status:|mWakefulness='
  }} 2>/dev/null
}}
"""

LISTING_SCRIPT = """
getprop
dumpsys battery 2>/dev/null | grep -E ' (temperature|level):'
"""

PROBE_SCRIPT = f"""
echo "online=$(cat {CPU}/online 2>/dev/null)"
for core in {CPU}/cpu[0-9]*; do
  echo "core=${{core##*/cpu}} $(cat $core/cpufreq/cpuinfo_max_freq 2>/dev/null)"
done
echo "governor=$(cat {CPU}/cpu$1/cpufreq/scaling_governor 2>/dev/null)"
"""


def properties(text: str) -> dict[str, str]:
    """The properties that `getprop` prints as `[name]: [value]`."""
    return dict(re.findall(r"^\[([^\]]+)\]: \[(.*)\]$", text, re.MULTILINE))


def values(text: str) -> dict[str, str]:
    """Lines of key=value, split at the first '='; the last value of a repeated key."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def core_list(text: str) -> tuple[int, ...]:
    """Core numbers in the kernel's notation: '0-3,6' is (0, 1, 2, 3, 6). Raises ValueError for anything else."""
    cores: list[int] = []
    for part in text.strip().split(",") if text.strip() else []:
        first, _, last = part.partition("-")
        cores.extend(range(int(first), int(last or first) + 1))
    return tuple(cores)


def cores(text: str) -> tuple[Core, ...]:
    """The cores that PROBE_SCRIPT prints; all are online if the kernel does not say."""
    online = core_list(values(text).get("online", ""))
    found = []
    for number, khz in re.findall(r"^core=(\d+) ?(\d*)$", text, re.MULTILINE):
        core = int(number)
        found.append(Core(core, int(khz) / 1000 if khz else None, not online or core in online))
    return tuple(sorted(found, key=lambda core: core.index))


class Shell(Protocol):
    """What runs a script on a device, under the name that the device has in messages."""

    name: str

    def run(self, script: str) -> tuple[str, int]: ...


def read_cores(shell: Shell) -> tuple[Core, ...]:
    """The cores of the device behind a shell. Raises DeviceLostError if it is gone, DeviceError if it lists none."""
    output, _ = shell.run(PROBE_SCRIPT)
    try:
        found = cores(output)
    except ValueError as error:
        raise DeviceError(f"{shell.name}: cores that cannot be understood: {output[:100]!r}") from error
    if not found:
        raise DeviceError(f"{shell.name}: it does not list its cores")
    return found


def number_after(text: str, key: str) -> float | None:
    """The number after `key` in a text, None if there is none."""
    found = re.search(rf"{re.escape(key)}\s*(-?\d+(?:\.\d+)?)", text)
    return float(found[1]) if found else None


def free_bytes(text: str) -> int | None:
    """The free space that `df -k` reports; None if it does not.

    Its columns: Filesystem, 1K-blocks, Used, Available, Use%, Mounted on; a long first one is on a separate line.
    """
    fields = text.split()
    percents = [index for index, field in enumerate(fields) if re.fullmatch(r"\d+%", field)]
    available = fields[percents[0] - 1] if percents else ""
    return int(available) * 1024 if available.isdigit() else None


def soc(props: Mapping[str, str]) -> str:
    """The chip's name; phones before Android 12 know only its platform."""
    maker, model = props.get("ro.soc.manufacturer", ""), props.get("ro.soc.model", "")
    platform = props.get("ro.board.platform", "") or props.get("ro.hardware", "")
    return f"{maker} {model}".strip() or platform


def clusters(found: tuple[Core, ...]) -> str:
    """Cores by their highest clock, the biggest first: 'cores 6, 7: 2802 MHz; cores ...'."""
    groups: dict[float | None, list[str]] = {}
    for core in found:
        groups.setdefault(core.max_mhz, []).append(str(core.index) + ("" if core.online else " (offline)"))
    ordered = sorted(groups.items(), key=lambda group: group[0] or 0.0, reverse=True)
    texts = [f"{', '.join(names)}: {f'{mhz:.0f} MHz' if mhz else 'clock unknown'}" for mhz, names in ordered]
    return "; ".join(f"cores {text}" for text in texts)
