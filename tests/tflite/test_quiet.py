"""LiteRT's own lines stay away from the user's terminal, errors and what others say do not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mnascli.space import load
from mnascli.tflite import quiet, write

ROOT = Path(__file__).parents[2]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(load("mnasnet-small").on(size=16, classes=3), tmp_path / "model.tflite")


def run(code: str, model: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(model)], env=env, capture_output=True, text=True, check=False
    )
    return done


def test_without_it_litert_speaks(model: Path) -> None:
    code = (
        "import sys; from ai_edge_litert.interpreter import Interpreter;"
        "Interpreter(model_path=sys.argv[1]).allocate_tensors()"
    )
    assert "XNNPACK" in run(code, model).stderr  # else this module can go


@pytest.mark.parametrize(
    "code",
    [
        "from mnascli.tflite.interpreter import Runner; Runner(sys.argv[1]); Runner(sys.argv[1])",
        "from mnascli.tflite.quantize import quantize; quantize(sys.argv[1], sys.argv[1] + '.int8')",
        "from mnascli.cli.main import main; sys.argv[1:] = ['benchmark', sys.argv[1], '--device', 'nothing']; main()",
    ],
)
def test_every_process_that_loads_a_model_is_quiet(code: str, model: Path) -> None:
    assert "INFO" not in run(f"import sys; {code}", model).stderr


def test_what_others_say_meanwhile_is_passed_on(model: Path) -> None:
    code = (
        "import os; from mnascli.tflite import quiet\n"
        "real = quiet._make_interpreter\n"
        "def make():\n    real(); os.write(2, b'INFO: of another\\nan error\\n')\n"
        "quiet._make_interpreter = make\n"
        "quiet.quiet_runtime(); quiet.quiet_runtime()"
    )
    assert run(code, model).stderr == "INFO: of another\nan error\n"


def test_an_error_of_the_first_interpreter_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "_is_done", False)
    monkeypatch.setattr(quiet, "_make_interpreter", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        quiet.quiet_runtime()
