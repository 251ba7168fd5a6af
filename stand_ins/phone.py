"""A phone without a phone: a folder as its file system, behind a real adb server, with faults to switch on.

    with AdbServer(folder) as server:
        phone = StandInPhone(folder / "phone", serial="PIXEL1")
        server.attach(phone)                    # adbutils, and mnas, now see it under `phone.address`
        phone.fail("crash", times=1)            # the next run of benchmark_model dies
        phone.unplug(); phone.plug()

The shell is this machine's: paths of the phone in a command become those of the folder, and what Android has and a PC
has not (getprop, dumpsys, ...) are scripts in `bin`. `benchmark_model` (see `binary`) really runs the model with
LiteRT, unless `scripted` says how long it is to take.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import adbutils

from stand_ins.adbd import Adbd

PIXEL_6_MHZ = (1803, 1803, 1803, 1803, 2253, 2253, 2802, 2802)

TOOLS = {
    "getprop": """
if [ $# = 0 ]; then exec cat "$STAND_IN/props"; fi
exec sed -n "s/^\\[$1\\]: \\[\\(.*\\)\\]/\\1/p" "$STAND_IN/props"
""",
    "dumpsys": 'exec cat "$STAND_IN/dumpsys.$1"',
    "df": 'printf "Filesystem 1K-blocks Used Available Use%% Mounted on\\n/dev/block/dm-5 100 0 %s 1%% /data\\n" '
    '"$(($(cat "$STAND_IN/free") / 1024))"',
    "taskset": """
if [ "$1" = -p ]; then echo "pid $2's current affinity mask: ${STAND_IN_MASK:-ff}"; exit 0; fi
mask=$((0x$1 & 0x$(cat "$STAND_IN/online"))); shift
if [ $mask = 0 ]; then echo "taskset: failed to set 123's affinity: Invalid argument" >&2; exit 1; fi
export STAND_IN_MASK=$(printf %x $mask)
exec "$@"
""",
}

# Paths that a command names and that are the phone's, not this machine's.
_PHONE_PATH = re.compile(r"(?<![\w./-])/(?=(?:data|sys|proc/loadavg|proc/uptime)(?:/|\b))")


class StandInPhone:
    """`max_mhz` has one number for each core. `close` ends what still runs on it."""

    def __init__(
        self,
        folder: Path,
        serial: str = "STANDIN1",
        model: str = "Pixel 6",
        abi: str = "arm64-v8a",
        max_mhz: Sequence[int] = PIXEL_6_MHZ,
    ) -> None:
        self.folder, self.serial, self.model = folder, serial, model
        self.root, self.state = folder / "root", folder / "state"
        self.storage = self.root / "data" / "local" / "tmp"
        self.authorized = True
        self._max_mhz = max_mhz
        self._unplug_next: tuple[float, float | None] | None = None
        self._processes: list[subprocess.Popen[bytes]] = []
        self._adbd: Adbd | None = None
        self.port = 0
        for place in (self.storage, self.state / "faults", folder / "bin"):
            place.mkdir(parents=True, exist_ok=True)
        for name, script in TOOLS.items():
            _write_program(folder / "bin" / name, f"#!/bin/sh\n{script}\n")
        props = {
            "ro.product.model": model,
            "ro.product.manufacturer": "Google",
            "ro.product.device": "oriole",
            "ro.soc.manufacturer": "Google",
            "ro.soc.model": "GS101",
            "ro.board.platform": "gs101",
            "ro.product.cpu.abi": abi,
            "ro.build.version.release": "14",
            "ro.build.version.sdk": "34",
            "ro.build.fingerprint": "google/oriole/oriole:14/AP2A/1:user/release-keys",
            "ro.serialno": serial,
        }
        self._set("props", "".join(f"[{name}]: [{value}]\n" for name, value in props.items()))
        self.set_free(8 << 30)
        self.set_online(range(len(max_mhz)))
        for core, mhz in enumerate(max_mhz):
            frequencies = self.root / "sys/devices/system/cpu" / f"cpu{core}" / "cpufreq"
            frequencies.mkdir(parents=True, exist_ok=True)
            for name, value in (
                ("cpuinfo_max_freq", mhz * 1000),
                ("scaling_cur_freq", mhz * 1000),
                ("scaling_governor", "sched_pixel"),
            ):
                (frequencies / name).write_text(f"{value}\n")
        (self.root / "proc").mkdir(exist_ok=True)
        (self.root / "proc" / "loadavg").write_text("0.52 0.58 0.59 1/797 26201\n")
        self._set("dumpsys.power", "POWER MANAGER\n  mWakefulness=Asleep\n  mWakefulnessChanging=false\n")
        self.heat(status=0, temperature_c=27.5)

    # --- the cable

    @property
    def address(self) -> str:
        """What adb calls it: a serial of the form host:port."""
        return f"127.0.0.1:{self.port}"

    def plug(self) -> None:
        """Answer on the port it had. The adb server has to connect (`AdbServer.attach`, or mnas after a loss)."""
        if self._adbd is not None:
            return
        name = self.model.replace(" ", "_")
        banner = f"ro.product.name=stand_in;ro.product.model={name};ro.product.device=stand_in;"
        free = self.state / "free"
        self._adbd = Adbd(
            self.root, banner, self._run, lambda: int(free.read_text()), lambda: self.authorized, port=self.port
        )
        self.port = self._adbd.port

    def unplug(self) -> None:
        """The cable is out, in the middle of whatever goes on."""
        adbd, self._adbd = self._adbd, None
        if adbd is not None:
            adbd.close()

    def unplug_during_next_run(self, after_s: float = 0.2, back_after_s: float | None = None) -> None:
        """Pull the cable once the next model runs; with `back_after_s` it is put in again so much later."""
        self._unplug_next = (after_s, back_after_s)

    # --- its state

    def heat(self, status: int, temperature_c: float, slow: float = 1.0) -> None:
        """Thermal status (Android's scale), battery temperature, and how much slower models run."""
        self._set(
            "dumpsys.thermalservice", f"IsStatusOverride: false\nThermalEventListeners:\nThermal Status: {status}\n"
        )
        battery = f"  AC powered: false\n  USB powered: true\n  level: 81\n  temperature: {temperature_c * 10:.0f}\n"
        self._set("dumpsys.battery", f"Current Battery Service state:\n{battery}")
        self._set("slow", str(slow))

    def set_free(self, count: int) -> None:
        """Bytes left for a file that is pushed."""
        self._set("free", str(count))

    def set_online(self, cores: Sequence[int]) -> None:
        """The cores that are online."""
        self._set("online", f"{sum(1 << core for core in cores):x}")
        place = self.root / "sys" / "devices" / "system" / "cpu"
        place.mkdir(parents=True, exist_ok=True)
        (place / "online").write_text(",".join(str(core) for core in cores) + "\n")
        (place / "present").write_text(f"0-{len(self._max_mhz) - 1}\n")

    def scripted(self, ms: float, ms_per_mb: float = 0.0) -> None:
        """Run no model: each takes `ms` and so much more for each MB of its file (and the run itself no time)."""
        self._set("scripted_ms", str(ms))
        self._set("scripted_ms_per_mb", str(ms_per_mb))

    def fail(self, fault: str, times: int = -1) -> None:
        """Switch a fault of `benchmark_model` on, for so many runs (-1: until `mend`).

        crash, abort, hang, partial_delegation, ignored_flags, cannot_link, old (no --help),
        silent (about its delegate).
        """
        self._set(f"faults/{fault}", str(times))

    def mend(self) -> None:
        """Switch all faults off."""
        for path in (self.state / "faults").iterdir():
            path.unlink(missing_ok=True)

    def files(self) -> list[str]:
        """What lies under /data/local/tmp."""
        return sorted(str(path.relative_to(self.storage)) for path in self.storage.rglob("*") if path.is_file())

    def processes(self) -> int:
        """Commands that still run on it."""
        return sum(process.poll() is None for process in self._processes)

    def close(self) -> None:
        self.unplug()
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _set(self, name: str, text: str) -> None:
        # Renamed into place: a run that reads it meanwhile finds the old text or the new one.
        path = self.state / name
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").rename(path)

    def _run(self, command: str) -> subprocess.Popen[bytes]:
        if "--graph" in command and self._unplug_next is not None:
            (after_s, back_after_s), self._unplug_next = self._unplug_next, None
            threading.Timer(after_s, self.unplug).start()
            if back_after_s is not None:
                threading.Timer(after_s + back_after_s, self.plug).start()
        path = f"{self.folder / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}"
        process = subprocess.Popen(
            ["/bin/sh", "-c", _PHONE_PATH.sub(lambda match: f"{self.root}/", command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.root,
            env={**os.environ, "PATH": path, "STAND_IN": str(self.state)},
            start_new_session=True,
        )
        self._processes = [one for one in self._processes if one.poll() is None] + [process]
        return process


def binary(path: Path, flavour: Literal["tflite", "litert"] = "tflite") -> Path:
    """Write the stand-in `benchmark_model` of a flavour, for `mnas devices setup --binary`."""
    source = Path(__file__).with_name("benchmark_model.py").read_text(encoding="utf-8")
    packages = repr([entry for entry in sys.path if entry.endswith("site-packages")])
    source = source.replace('FLAVOUR = "tflite"', f'FLAVOUR = "{flavour}"\nsys.path += {packages}', 1)
    # -I -S: starts in 20 ms instead of 60.
    _write_program(path, f"#!{sys.executable} -IS\n{source}")
    return path


class AdbServer:
    """A real adb server (of the adb that adbutils brings) on its own port and HOME; it looks at no USB device.

    `environment` makes adbutils and mnas use it, in this process and in those it starts. Leaving ends it, and closes
    the phones attached.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = _free_port()
        self.adb = str(Path(adbutils.__file__).parent / "binaries" / "adb")
        self.environment = {"ANDROID_ADB_SERVER_PORT": str(self.port), "MNAS_ADB": self.adb}
        self._phones: list[StandInPhone] = []

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        for phone in self._phones:
            phone.close()
        self.stop()

    @property
    def client(self) -> adbutils.AdbClient:
        return adbutils.AdbClient(port=self.port)

    def start(self) -> None:
        # Neither phones nor emulators of the user's, and no search of the network.
        off = {"ADB_USB": "0", "ADB_LIBUSB": "0", "ADB_MDNS": "0", "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553"}
        environment = {**os.environ, "HOME": str(self.home), **off}
        command = [self.adb, "-P", str(self.port), "start-server"]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=30)

    def stop(self) -> None:
        self.client.server_kill()
        end = time.monotonic() + 5
        while _answers(self.port) and time.monotonic() < end:
            time.sleep(0.02)

    def detach(self, phone: StandInPhone) -> None:
        """Close a phone for good; the server forgets it."""
        phone.close()
        self.client.disconnect(phone.address)
        self._phones.remove(phone)
        # The server takes a moment to forget it: the next test is not to find it in the list.
        end = time.monotonic() + 10
        while phone.address in [one.serial for one in self.client.list()] and time.monotonic() < end:
            time.sleep(0.02)

    def attach(self, phone: StandInPhone) -> None:
        """Plug a phone in and wait until the server sees it (as unauthorized, if it is)."""
        if phone not in self._phones:
            self._phones.append(phone)
        phone.plug()
        self.client.connect(phone.address, timeout=10)
        end = time.monotonic() + 10
        wanted = "device" if phone.authorized else "unauthorized"
        while (phone.address, wanted) not in [(one.serial, one.state) for one in self.client.list()]:
            if time.monotonic() > end:
                raise TimeoutError(f"the adb server does not see {phone.address}")
            time.sleep(0.02)


def _write_program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
