"""Pictures of the report for the documentation, out of a real run. Usage: python scripts/screenshots.py RUN FOLDER

Needs chromium (apt-get install chromium); `make screenshots` makes the run first where it is not there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mnascli.report.content import gather
from mnascli.report.page import page

SIZE = (1280, 1100)  # the headline, the plane and a trial's detail


def main() -> None:
    run, folder = Path(sys.argv[1]), Path(sys.argv[2])
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no browser: apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    picture = (folder / "report.png").resolve()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "report.html"
        file.write_text(page(gather(run)), encoding="utf-8")
        command = [
            chromium,
            "--headless=new",
            "--no-sandbox",
            "--hide-scrollbars",
            f"--user-data-dir={scratch}/profile",
        ]
        command += [f"--window-size={SIZE[0]},{SIZE[1]}", "--virtual-time-budget=10000", f"--screenshot={picture}"]
        subprocess.run([*command, file.as_uri()], check=True, capture_output=True, timeout=300)
    if not picture.is_file():
        sys.exit("chromium made no picture")
    print(picture)


if __name__ == "__main__":
    main()
