"""Bringing the measuring program to a phone: fetched or given, tried on the phone, recorded."""

from __future__ import annotations

import contextlib
import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path

from mnascli.devices import shell_state
from mnascli.devices.adb.benchmark_binary import Binary, check_abi, fetch_official, remember
from mnascli.devices.adb.benchmark_model import Flavour, command_line, flavour_of, read_output, what_went_wrong
from mnascli.devices.adb.device import PROGRAM, STORAGE
from mnascli.devices.adb.shell import AdbShell
from mnascli.devices.device import DeviceError, DeviceInfo, read_model
from mnascli.errors import NoDeviceError, UsageError, reason

MODEL = "reference.tflite"
TRIAL_RUNS = 3
TRIAL_S = 60


@dataclass(frozen=True)
class SetUp:
    """`binary` runs on the phone from now on, `before` did until now (None: nothing).

    `note` says what the program's log leaves out about how it runs models, '' if nothing.
    """

    binary: Binary
    before: Binary | None
    note: str = ""


def set_up_phone(info: DeviceInfo, program: Path | None = None, reference: Path | None = None) -> SetUp:
    """Try a benchmark_model (None: the official one for the phone's ABI) on a phone and remember it.

    Its flavour shows in how it runs the .tflite `reference`; without one in its --help, which older ones do not have.
    Leaves nothing on the phone. Raises UsageError for a program that is not for this phone, DeviceError if it does not
    start or run a model there, MnasError if it cannot be fetched.
    """
    if info.state not in ("ready", "not set up"):
        raise NoDeviceError(f"{info.name} cannot be used ({info.state}): {info.problem}")
    if program is None:
        content, source = fetch_official(info.abi)
    else:
        try:
            content, source = program.read_bytes(), str(program)
        except OSError as error:
            raise UsageError(f"{program}: cannot be read: {reason(error)}") from error
    abi = check_abi(content, info.abi, source)
    shell = AdbShell(info.serial, info.name)
    props, _ = shell.run("getprop")
    number = shell_state.properties(props).get("ro.serialno") or info.serial
    flavour, note = _try(shell, content, reference)
    binary, before = remember(number, content, flavour, abi, source)
    return SetUp(binary, before, note)


def _try(shell: AdbShell, content: bytes, reference: Path | None) -> tuple[Flavour, str]:
    """The flavour of a program, and a note on what its log leaves out. Raises DeviceError if it does not work there."""
    folder = f"{STORAGE}/mnas-setup-{secrets.token_hex(4)}"
    quoted = shlex.quote(folder)
    model = read_model(reference)[0] if reference is not None else b""
    try:
        shell.run(f"mkdir {quoted}")
        shell.require_free(len(content) + len(model), STORAGE)
        shell.push(content, f"{folder}/{PROGRAM}", 0o755)
        usage, code = shell.run(f"cd {quoted} && timeout 10 ./{PROGRAM} --help")
        does_not_start = code in (126, 127) or "CANNOT LINK" in usage
        if does_not_start or (reference is None and code >= 128):
            raise DeviceError(f"{shell.name}: the program does not start there: {what_went_wrong(usage)}")
        if reference is None:
            return flavour_of(usage), ""
        shell.push(model, f"{folder}/{MODEL}", 0o644)
        return _flavour_that_runs(shell, quoted, usage)
    finally:
        with contextlib.suppress(DeviceError):
            shell.run(f"rm -rf {quoted}")


def _flavour_that_runs(shell: AdbShell, folder: str, usage: str) -> tuple[Flavour, str]:
    """The flavour whose command line runs the reference model. Raises DeviceError if none does."""
    # TensorFlow Lite's says that it does not know LiteRT's flags; the reverse is less certain.
    flavours: list[Flavour] = ["litert", "tflite"]
    with contextlib.suppress(DeviceError):
        flavours.sort(key=flavour_of(usage).__ne__)
    problems = []
    for flavour in flavours:
        how = {"threads": 1, "warmups": 1, "warmup_min_s": 0, "runs": TRIAL_RUNS, "min_s": 0, "timeout_s": TRIAL_S}
        command = command_line(f"./{PROGRAM}", flavour, MODEL, accelerator="cpu", **how)
        output, code = shell.run(f"cd {folder} && timeout {TRIAL_S} {command}", TRIAL_S + 10)
        try:
            if code:
                raise DeviceError(f"{what_went_wrong(output)} (exit code {code})")
            summary = read_output(output, runs=TRIAL_RUNS, accelerator="cpu", allow_partial=True)
            return flavour, summary.note
        except DeviceError as error:
            problems.append(str(error))
    told = next((problem for problem in problems if "ignored" not in problem), problems[0])
    raise DeviceError(f"{shell.name}: the program is not a usable benchmark_model: {told}")
