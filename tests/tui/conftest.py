import time
from pathlib import Path

import pytest
from made_run import make_run


@pytest.fixture(autouse=True)
def a_known_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "runs" / "made")
