"""The wheel carries every module: hatchling leaves out what .gitignore names, and says nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_git_ignores_no_file_of_the_package_or_its_tests() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    files = [
        str(path.relative_to(ROOT))
        for folder in ("mnascli", "tests", "templates", "devices")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    # --no-index: also for files that git has taken all the same.
    asked = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"],
        input="\n".join(files),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert asked.stdout == ""
