"""What every kind of device must do. Inherit from DeviceConformance and give the three fixtures."""

import dataclasses
import json
from pathlib import Path

import pytest

from mnascli import tflite
from mnascli.devices.backends import KINDS
from mnascli.devices.device import Device, ModelError, Session, Setup
from mnascli.errors import UsageError
from mnascli.space import Architecture

QUICK = {"warmups": 1, "warmup_min_s": 0.0, "runs": 10, "min_s": 0.0, "timeout_s": 30.0}


def write_slow_model(folder: Path) -> Path:
    """A network of some 7 M multiply-adds, whose 100 000 runs take minutes on any machine."""
    return tflite.write(Architecture.parse("ds_r1_k3_s1_c64,head_c256,net_i96_o10"), folder / "slow.tflite")


class DeviceConformance:
    @pytest.fixture
    def device(self) -> Device:
        raise NotImplementedError

    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        """A model that runs in a few milliseconds at most."""
        raise NotImplementedError

    @pytest.fixture
    def slow_model(self, tmp_path: Path) -> Path:
        """A model whose 100 000 runs take longer than half a second."""
        raise NotImplementedError

    def test_has_an_identity(self, device: Device) -> None:
        assert device.name and device.serial and device.kind in KINDS
        assert len(device.fingerprint) > len(device.serial)
        assert Setup.from_json(json.loads(json.dumps(device.setup.to_json()))) == device.setup

    def test_a_session_has_runs_and_conditions(self, device: Device, model: Path) -> None:
        session = device.run(model, **QUICK)
        assert session.runs >= 10
        assert 0 < session.p5_ms <= session.median_ms <= session.p95_ms < 1000
        assert len(session.samples_ms) in (0, session.runs)
        assert session.before.cores == session.after.cores == device.setup.cores
        assert session.before.runtime and session.before.os_build

    def test_a_session_survives_json(self, device: Device, model: Path) -> None:
        session = device.run(model, **QUICK)
        assert Session.from_json(json.loads(json.dumps(session.to_json()))) == session

    def test_a_probe_suggests_cores_it_found(self, device: Device) -> None:
        probe = device.probe()
        assert {core.index for core in probe.cores} >= set(probe.suggested.cores)
        assert json.loads(json.dumps(probe.to_json()))["info"]["serial"] == device.serial

    def test_runs_after_release_and_after_close(self, device: Device, model: Path) -> None:
        device.release(model)
        device.run(model, **QUICK)
        device.release(model)
        device.release(model)
        assert device.run(model, **QUICK).runs >= 10
        device.close()
        device.close()

    def test_a_file_that_is_no_model_is_named(self, device: Device, tmp_path: Path) -> None:
        text = tmp_path / "notes.txt"
        text.write_text("this is not a network")
        for path in (text, tmp_path / "missing.tflite"):
            with pytest.raises(UsageError, match=path.name) as caught:
                device.run(path, **QUICK)
            assert "\n" not in str(caught.value)

    def test_a_damaged_model_fails_alone(self, device: Device, model: Path, tmp_path: Path) -> None:
        damaged = tmp_path / "damaged.tflite"
        damaged.write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
        with pytest.raises(ModelError, match=r"damaged\.tflite") as caught:
            device.run(damaged, **QUICK)
        assert "\n" not in str(caught.value)
        assert device.run(model, **QUICK).runs >= 10

    def test_a_model_that_takes_too_long_is_stopped(self, device: Device, model: Path, slow_model: Path) -> None:
        with pytest.raises(ModelError, match=r"not done within 0\.5 s"):
            device.run(slow_model, **{**QUICK, "runs": 100_000, "timeout_s": 0.5})
        assert device.run(model, **QUICK).runs >= 10

    def test_a_file_written_anew_is_not_taken_for_the_old_one(
        self, device: Device, model: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "again.tflite"
        path.write_bytes(model.read_bytes())
        device.run(path, **QUICK)
        path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
        with pytest.raises(ModelError):
            device.run(path, **QUICK)

    def test_conditions_are_plain_values(self, device: Device, model: Path) -> None:
        for value in dataclasses.asdict(device.run(model, **QUICK).before).values():
            assert value is None or isinstance(value, bool | int | float | str | tuple)
