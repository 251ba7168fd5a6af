"""Mouse reports as old terminals send them: ESC [ M and three raw bytes, which are not UTF-8 beyond column 95.

Textual asks for the newer reports, but a terminal that does not know them sends the old ones, and Textual's input
thread ends with a traceback at the first byte that it cannot decode.
"""

from __future__ import annotations

import codecs
import re

from textual.drivers import linux_driver

INTRODUCER, LENGTH = b"\x1b[M", 6
REPORT = re.compile(rb"\x1b\[M([\x20-\xff])(.)(.)", re.DOTALL)
BUTTONS, MOTION_OR_WHEEL = 0b11, 0b1100000
RELEASED = 0b11  # the button of a report that no button is pressed


class Decoder(codecs.IncrementalDecoder):
    """UTF-8 whose old mouse reports become new ones (ESC [ < button ; column ; row M), which Textual reads.

    Anywhere else a byte that is not UTF-8 becomes the replacement character.
    """

    def __init__(self, errors: str = "replace") -> None:
        super().__init__(errors)
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._given = b""  # the beginning of a possible report, already passed on: ESC is a key, too
        self._held = b""  # the beginning of a certain report

    def decode(self, data: bytes, final: bool = False) -> str:  # type: ignore[override]
        known = self._given + self._held + data
        at = known.rfind(INTRODUCER)
        is_whole = final or at < 0 or len(known) - at >= LENGTH
        end = len(known) if is_whole else max(at, len(self._given))
        ready = REPORT.sub(_renewed, known[:end])[len(self._given) :]
        self._held = known[end:]
        self._given = next((one for one in (b"\x1b[", b"\x1b") if known[:end].endswith(one)), b"")
        return self._text.decode(ready, final)


def _renewed(report: re.Match[bytes]) -> bytes:
    button, column, row = (max(0, group[0] - 32) for group in report.groups())
    released = button & BUTTONS == RELEASED and not button & MOTION_OR_WHEEL
    if released:  # the old report does not say which button; a new one names it
        return b"\x1b[<%d;%d;%dm" % (button - RELEASED, column, row)
    return b"\x1b[<%d;%d;%dM" % (button, column, row)


def read_old_mice() -> None:
    """Let Textual's driver read such reports; the only way in is the name that it looks up."""
    linux_driver.getincrementaldecoder = lambda encoding: Decoder  # type: ignore[assignment, attr-defined]
