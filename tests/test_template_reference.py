"""docs/templates.md says what the configuration's model says."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_reference_of_template_keys_is_current() -> None:
    script = [sys.executable, "scripts/template_reference.py", "--check"]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_key_is_described() -> None:
    for line in (ROOT / "docs" / "templates.md").read_text().splitlines():
        if line.startswith("| `"):
            assert not re.search(r"\|\s*\|$", line), f"no description: {line}"
