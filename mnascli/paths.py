"""What a user's text names on the disk, if anything: it may also be an architecture of a thousand letters."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable
from pathlib import Path

from mnascli.errors import MnasError, reason


def exists(path: Path) -> bool:
    return _is(path.exists)


def is_file(path: Path) -> bool:
    return _is(path.is_file)


def is_dir(path: Path) -> bool:
    return _is(path.is_dir)


def check_writable(file: Path) -> None:
    """Find out now, and not after minutes or hours, that a file cannot be written. Raises MnasError."""
    if is_dir(file):
        raise MnasError(f"{file}: is a folder: give the name of a file with --output")
    try:
        with tempfile.TemporaryFile(dir=file.parent):
            pass
        file.with_name(f".{file.name}.{'x' * 12}").exists()  # as long a name as the file has while it is being written
    except OSError as error:
        raise MnasError(f"{file}: cannot be written: {reason(error)}") from error


def _is(question: Callable[[], bool]) -> bool:
    """The answer; False if the text is longer than any name can be, which pathlib treats as an error."""
    try:
        return question()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise
