"""The stand-in of the other tests keeps the same rules as the devices it stands for."""

from pathlib import Path

import pytest
from device_conformance import DeviceConformance

from stand_ins.scripted_device import ScriptedDevice, write_model


class TestScriptedDevice(DeviceConformance):
    @pytest.fixture
    def device(self) -> ScriptedDevice:
        return ScriptedDevice()

    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        return write_model(tmp_path, "model", 2.0)

    @pytest.fixture
    def slow_model(self, tmp_path: Path) -> Path:
        return write_model(tmp_path, "slow", 2.0)
