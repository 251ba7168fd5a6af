"""`mnas devices` with a phone: what scripts read, and one line for whatever goes wrong."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from test_cli import answer, mnas

from mnascli import tflite
from mnascli.devices.finding import find_device
from mnascli.space import Architecture
from stand_ins.phone import StandInPhone, binary


@pytest.fixture
def ready(phone: StandInPhone, tmp_path: Path) -> StandInPhone:
    phone.scripted(ms=5.0)
    assert mnas("devices", "setup", "pixel-6", "--binary", binary(tmp_path / "benchmark_model")).returncode == 0
    return phone


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tflite.write(Architecture.parse("ds_r1_k3_s1_c8,head_c16,net_i16_o10"), tmp_path / "model.tflite")


def test_a_phone_from_first_sight_to_its_first_number(phone: StandInPhone, model: Path, tmp_path: Path) -> None:
    phone.scripted(ms=5.0)
    listed = answer("devices", "list")["devices"]
    assert isinstance(listed, list)
    seen = listed[1]
    assert (seen["name"], seen["kind"], seen["serial"], seen["state"]) == (
        "pixel-6-din1",
        "adb",
        phone.address,
        "not set up",
    )
    assert "mnas devices setup pixel-6-din1" in seen["problem"]
    assert (seen["model"], seen["soc"], seen["abi"], seen["os"]) == (
        "Pixel 6",
        "Google GS101",
        "arm64-v8a",
        "Android 14",
    )
    assert (seen["temperature_c"], seen["battery_percent"], seen["profile"]) == (27.5, 81, "pixel-6")

    brought = answer("devices", "setup", "pixel-6", "--binary", binary(tmp_path / "benchmark_model"))
    assert (brought["device"], brought["flavour"]) == ("pixel-6-din1", "tflite")
    probed = answer("devices", "probe", "pixel-6")
    assert probed["suggested"] == {"cores": [7], "threads": 1, "accelerator": "cpu"}
    measured = answer("devices", "measure", model, "--device", "pixel-6")
    assert measured["median_ms"] == pytest.approx(5.0)
    assert (measured["runs"], measured["sessions"], measured["verdict"]) == (600, 3, "stable")
    assert measured["before"]["cores"] == measured["after"]["cores"] == [7]  # type: ignore[index]
    assert str(brought["sha256"]) in str(measured["fingerprint"])
    assert phone.files() == [] and phone.processes() == 0


def test_tables_for_people(ready: StandInPhone, model: Path) -> None:
    assert (
        "cores 6, 7: 2802 MHz; cores 4, 5: 2253 MHz; cores 0, 1, 2, 3: 1803" in mnas("devices", "probe", "pixel").stdout
    )
    table = mnas("devices", "measure", model, "--device", "pixel-6").stdout
    for row in ("median, ms", "5.000", "600 in 3 sessions", "2802, 2802", "27.5, 27.5", "stable"):
        assert row in table


def test_another_program_than_before_is_said(ready: StandInPhone, tmp_path: Path) -> None:
    done = mnas("devices", "setup", "pixel-6", "--binary", binary(tmp_path / "other", "litert"))
    assert done.returncode == 0 and "not the same program as before" in done.stderr


@pytest.mark.parametrize("flavour", ["tflite", "litert"])
def test_a_program_without_help_is_known_by_what_it_runs(
    phone: StandInPhone, model: Path, tmp_path: Path, flavour: Any
) -> None:
    """Older ones only say 'Please specify the name of your TF Lite input file with --graph'."""
    phone.fail("old")
    phone.scripted(ms=5.0)
    done = answer("devices", "setup", "pixel-6", "--binary", binary(tmp_path / "program", flavour))
    assert done["flavour"] == flavour and "note" not in done
    measured = answer("devices", "measure", model, "--device", "pixel-6")
    assert measured["median_ms"] == pytest.approx(5.0)


def test_a_program_that_does_not_log_what_xnnpack_took_says_that_it_cannot_be_seen(
    phone: StandInPhone, model: Path, tmp_path: Path
) -> None:
    phone.fail("silent")
    phone.scripted(ms=5.0)
    note = "it may not have run the model"
    done = mnas("devices", "setup", "pixel-6", "--binary", binary(tmp_path / "program"))
    assert done.returncode == 0 and note in " ".join(done.stdout.split())
    benchmarked = mnas("benchmark", model, "--device", "pixel-6", "--json")
    assert benchmarked.returncode == 0 and note in benchmarked.stderr


def test_a_program_that_runs_no_model_is_not_remembered(phone: StandInPhone, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho 'Flags:'; echo '--num_runs=50 --use_npu=false'\n")
    done = mnas("devices", "setup", "pixel-6", "--binary", program)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (1, 1, "")
    assert "the program is not a usable benchmark_model: benchmark_model printed no 'count=' line" in done.stderr
    assert find_device(phone.address).state == "not set up" and phone.files() == []


@pytest.mark.parametrize(("flavour", "accelerator"), [("litert", "gpu"), ("litert", "npu"), ("tflite", "gpu")])
def test_an_accelerator_s_delegate_is_known_by_its_own_name(
    phone: StandInPhone, model: Path, tmp_path: Path, flavour: Any, accelerator: str
) -> None:
    """LiteRT's GPU delegate logs itself as LITERT_CL."""
    phone.scripted(ms=5.0)
    assert mnas("devices", "setup", "pixel-6", "--binary", binary(tmp_path / "program", flavour)).returncode == 0
    answer("devices", "add", "mine", "--device", "pixel-6", "--accelerator", accelerator)
    assert answer("devices", "measure", model, "--device", "pixel-6")["verdict"] == "stable"


def test_a_profile_of_ones_own_is_used(ready: StandInPhone, model: Path) -> None:
    added = answer("devices", "add", "mine", "--device", "pixel-6", "--cores", "4-5", "--threads", "2")
    assert yaml.safe_load(Path(str(added["file"])).read_text())["match"] == {"kind": "adb", "serial": ready.address}
    assert answer("devices", "probe", "pixel-6")["conditions"]["cores"] == [4, 5]  # type: ignore[index]
    again = mnas("devices", "add", "mine", "--device", "pixel-6")
    assert again.returncode == 2 and "exists already" in again.stderr
    mine = Path(str(added["file"]))
    mine.write_text(mine.read_text().replace("- 4\n- 5\n", "- 77\n- 5\n"))
    lacking = mnas("devices", "measure", model, "--device", "pixel-6")
    assert (lacking.returncode, lacking.stderr.count("\n")) == (2, 1)
    assert "pixel-6-din1: there is no core 77" in lacking.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("probe", "nokia"), 3, "no device 'nokia': available: host, pixel-6-din1"),
        (("measure", "{model}", "--device", "nokia"), 3, "no device 'nokia'"),
        (("setup", "pixel-6", "--binary", "/bin/sh"), 2, "built for"),
        (("setup", "pixel-6", "--binary", "{model}"), 2, "not a program for Android"),
        (("setup", "pixel-6", "--binary", "nowhere"), 2, "nowhere: cannot be read"),
        (("setup", "host"), 2, "the host needs no setup"),
        (("add", "x"), 2, "give either --address"),
        (("add", "../x", "--device", "pixel-6"), 2, "profile '../x': name"),
        (("add", "x", "--address", "-oProxyCommand=reboot"), 2, "profile 'x': address"),
        (("add", "x", "--device", "pixel-6", "--cores", "big"), 2, "--cores big"),
        (("add", "x", "--device", "pixel-6", "--cores", "6,77"), 2, "there is no core 77 (cores: 0, 1, 2, 3, 4, 5,"),
        (("add", "x", "--device", "host", "--cores", "7777"), 2, "host: there is no core 7777"),
        (("add", "x", "--device", "pixel-6", "--accelerator", "dsp"), 2, "accelerator"),
        (("add", "x", "--device", "pixel-6", "--like", "nokia"), 2, "no device profile 'nokia'"),
    ],
)
def test_what_is_wrong_is_one_line(
    phone: StandInPhone, model: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = mnas("devices", *(argument.format(model=model) for argument in arguments))
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (code, 1, "")
    assert message in done.stderr
    assert phone.files() == []


def test_a_model_too_large_for_the_phone_is_one_line(ready: StandInPhone, model: Path) -> None:
    large = model.with_name("large.tflite")
    large.write_bytes(model.read_bytes() + bytes(5_000_000))
    ready.set_free(2_000_000)
    done = mnas("devices", "measure", large, "--device", "pixel-6")
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (3, 1, "")
    assert "4.8 MB do not fit, 1.9 MB are free: free some" in done.stderr
    assert ready.files() == []


def test_a_profile_with_an_unknown_key_is_named(phone: StandInPhone, own_home: Path) -> None:
    path = own_home / ".config" / "mnas" / "devices" / "mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("name: mine\nmatch: {kind: adb}\ncore: 7\n")
    done = mnas("devices", "list")
    assert (done.returncode, done.stderr) == (2, f"mnas: {path}: line 3: core: unknown key (did you mean 'cores'?)\n")
