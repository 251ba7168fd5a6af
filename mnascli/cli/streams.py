"""stdout and stderr as a long job needs them: closed, on a full disk or a pipe that nobody reads any more.

A result that cannot be written is an error. Other output, and what the reader of a pipe no longer wants, is dropped: it
is no reason to lose a search.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from mnascli.errors import MnasError, reason


class OutputError(MnasError):
    """The result cannot be written to stdout."""


_guarded: TextIO | None = None
_voice: TextIO | None = None


@contextmanager
def guarded() -> Iterator[None]:
    """While it lasts, writing to stdout raises OutputError if it fails, and writing to stderr never fails."""
    global _guarded, _voice
    _fill_standard_descriptors()
    before = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, _Stream(before[0], "the result cannot be written to the standard output"))
    sys.stderr = _guarded = _voice = cast(TextIO, _Stream(before[1]))
    if _descriptor(before[1]) == 2:
        _voice = cast(TextIO, _Stream(os.fdopen(os.dup(2), "w", buffering=1)))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        _guarded = _voice = None


def voice() -> TextIO:
    """Where messages to the user go: stderr, through a descriptor of its own. What converters print is dropped by
    redirecting descriptor 2 for minutes, and progress lines must not be dropped with it."""
    return _voice if _voice is not None and sys.stderr is _guarded else sys.stderr


def _descriptor(stream: TextIO | None) -> int | None:
    try:
        return stream.fileno() if stream is not None else None
    except (OSError, ValueError):
        return None


def _fill_standard_descriptors() -> None:
    """If a standard stream is closed (`>&-`), the next opened file would get its number, and what native libraries
    print would go into it."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.dup(descriptor)
    os.close(descriptor)


class _Stream:
    """A text stream whose errors are either dropped or raised as OutputError that begins with `complaint`."""

    def __init__(self, stream: TextIO | None, complaint: str = "") -> None:
        # Python has None for a descriptor that was closed when it started; what is written then fails as it should.
        self._stream = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w") if stream is None else stream
        self._complaint = complaint
        self._error: OSError | None = None
        if hasattr(self._stream, "reconfigure"):
            # A name that is not UTF-8 is written as its bytes; elsewhere a letter the terminal lacks is escaped.
            utf8 = self._stream.encoding.lower().replace("-", "") == "utf8"
            self._stream.reconfigure(errors="surrogateescape" if utf8 and complaint else "backslashreplace")

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        """Once it has failed it fails for good: some library may have ignored the first error."""
        if self._error is None:
            try:
                action()
            except OSError as error:
                self._error = error
                self._drop_all()
        if self._error is not None and self._complaint and self._error.errno != errno.EPIPE:  # `mnas ... | head`
            raise OutputError(f"{self._complaint}: {reason(self._error)}") from self._error

    def _drop_all(self) -> None:
        """Flushing the buffer would fail again at the end of the program, with a traceback."""
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
        except (OSError, ValueError):
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
