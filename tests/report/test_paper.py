"""Figures for a paper: there, not empty, the same every time, and said how to get where matplotlib is not."""

import sys
from pathlib import Path

import pytest
from made_runs import make_run
from PIL import Image

from mnascli.errors import MnasError
from mnascli.report.content import gather
from mnascli.report.paper import write_figures


def test_every_figure_as_png_and_svg(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", devices=("a/b $x$",))
    files = write_figures(gather(run), tmp_path / "figures")
    names = {"pareto", "rewards", "latency", "proxy", "architecture"}
    assert {file.name for file in files} == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    for file in files:
        if file.suffix == ".png":
            picture = Image.open(file).convert("L")
            assert picture.width >= 900 and picture.getextrema() != (255, 255)
        else:
            assert "<svg" in file.read_text()
    again = write_figures(gather(run), tmp_path / "again")
    assert [file.read_bytes() for file in files] == [file.read_bytes() for file in again]


def test_a_run_with_nothing_in_it_has_none(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").touch()
    assert write_figures(gather(tmp_path), tmp_path / "figures") == []


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MnasError, match=r"pip install 'mnas\[figures\]'"):
        write_figures(gather(make_run(tmp_path / "run")), tmp_path / "figures")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MnasError, match="cannot be written"):
        write_figures(gather(make_run(tmp_path / "run")), tmp_path / "file" / "figures")
