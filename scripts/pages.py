"""Writing a page that is made out of the code, or checking that it is current."""

from __future__ import annotations

import sys
from pathlib import Path


def write_or_check(file: Path, page: str) -> None:
    """With --check on the command line, exit with an error where the file differs; else write it."""
    if "--check" not in sys.argv[1:]:
        file.write_text(page, encoding="utf-8")
    elif file.read_text(encoding="utf-8") != page:
        sys.exit(f"{file} is not what the code says: make reference")
