"""The README's commands, from a folder of ordinary pictures to an int8 file that is evaluated again."""

from __future__ import annotations

import json
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from test_cli import TINY, mnas

ROOT = Path(__file__).parents[2]
TOLD = ("search --data", "report", "train", "evaluate my-net ", "export", "evaluate my-net.tflite")


def test_a_folder_of_pictures_goes_all_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they stand there, but with few trials, and networks that are too poor to keep int8 within its limit."""
    folder = tmp_path / "pictures"
    monkeypatch.setattr(sys, "argv", ["", str(folder), "--of-each", "16", "--side", "40"])
    runpy.run_path(str(ROOT / "scripts" / "make_picture_folder.py"), run_name="__main__")
    kinds = {file.suffix for file in folder.rglob("*.*")}
    assert kinds == {".jpg", ".JPG", ".png", ".webp", ".bmp", ".gif", ".tif"}
    (tmp_path / "tiny.yaml").write_text(TINY)
    monkeypatch.setenv("MNAS_TEMPLATE", str(tmp_path / "tiny.yaml"))
    lines = [line.strip() for line in (ROOT / "README.md").read_text().splitlines()]
    commands = [next(line for line in lines if line.startswith(f"mnas {begin}")) for begin in TOLD]
    for command in commands:
        words = shlex.split(command.replace(":17", ":1"), comments=True)[1:]
        done = mnas(*words, *(["--max-loss", 1] if words[0] == "export" else []), cwd=tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    exported = json.loads((tmp_path / "my-net.card.json").read_text())["export"]
    assert (exported["quantization"], exported["float_operators"]) == ("int8", 0)
    assert f"top-1 {exported['test_top1']:.4f}" in done.stdout and "predictions differ" in done.stdout
