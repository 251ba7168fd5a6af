"""docs/templates.md and docs/events.md say what the code says that they are made of."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["template_reference", "event_reference"])
def test_a_reference_is_current(name: str) -> None:
    script = [sys.executable, f"scripts/{name}.py", "--check"]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_key_is_described() -> None:
    for line in (ROOT / "docs" / "templates.md").read_text().splitlines():
        if line.startswith("| `"):
            assert not re.search(r"\|\s*\|$", line), f"no description: {line}"


def test_the_map_of_the_house_names_files_that_are_there() -> None:
    """The paths in docs/architecture.md, of the package or from the top, but for those of something new."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = {path for path in re.findall(r"`([a-z_]+/[a-z_/.]+)`", text) if "<" not in path}
    assert len(named) > 15
    missing = [path for path in named if not (ROOT / path).exists() and not (ROOT / "mnascli" / path).exists()]
    assert not missing
