"""Ctrl-C, a kill, a terminal that goes away: noticed at once, obeyed between two steps, and twice means now."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TypeVar

EXIT_CODE = 130
AGAIN = "press Ctrl-C again to leave at once"
HEARD = f"stopping; {AGAIN}"
TWICE_S = 0.2  # `timeout` sends its signal twice within microseconds, but means it once
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

T = TypeVar("T")


@dataclass
class _State:
    """The state of this process. `waiting`: an interrupt came within `whole` and is raised at its end."""

    message: str = HEARD
    descriptor: int = 2
    heard_at: float | None = None
    holds: int = 0
    waiting: bool = False


_state = _State()


@contextmanager
def listening() -> Iterator[None]:
    """While it lasts, the first signal prints `HEARD` on stderr and raises KeyboardInterrupt, the second exits at once.

    A signal that is ignored (nohup, a job in the background) stays so. Does nothing outside the main thread, nor in
    processes that torchrun started: it ends them, and one that waits for others in native code would notice nothing.
    """
    global _state
    if threading.current_thread() is not threading.main_thread() or "TORCHELASTIC_RUN_ID" in os.environ:
        yield
        return
    # A descriptor of its own: descriptor 2 is redirected while converters work, because they are talkative.
    _state, process = _State(descriptor=os.dup(2)), os.getpid()

    def hear(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process:
            _heard()
        elif number == signal.SIGINT:  # a forked child: its parent speaks and decides
            raise KeyboardInterrupt
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    before = {one: signal.getsignal(one) for one in SIGNALS}
    for one, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(one, hear)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        os.close(_state.descriptor)
        _state = _State()


@contextmanager
def saying(message: str) -> Iterator[None]:
    """What the first signal says while this lasts; nothing for an empty text."""
    before, _state.message = _state.message, message
    try:
        yield
    finally:
        _state.message = before


@contextmanager
def whole() -> Iterator[None]:
    """An interrupt that comes in this block waits for its end, so that all of it is done or none."""
    state = _state
    state.holds += 1
    try:
        yield
    finally:
        state.holds -= 1
    if state.waiting and not state.holds:
        state.waiting = False
        raise KeyboardInterrupt


def was_heard() -> bool:
    """Whether an interrupt came through `listening`, so that every `whole` is complete. Python's own come anywhere."""
    return _state.heard_at is not None


def whole_steps(items: Iterable[T]) -> Iterator[T]:
    """The items; an interrupt that comes while the caller works on one waits until it asks for the next."""
    for item in items:
        with whole():
            yield item


def _heard() -> None:
    now = time.monotonic()
    if _state.heard_at is not None:
        if now - _state.heard_at > TWICE_S:
            _leave()
        return
    _state.heard_at = now
    if _state.message:
        _write(f"\r\x1b[2K{_state.message}\n" if _is_terminal() else f"{_state.message}\n")
    if _state.holds:
        _state.waiting = True
    else:
        raise KeyboardInterrupt


def _leave() -> None:
    if _is_terminal():
        _write("\r\x1b[2K\x1b[?25h")  # a progress bar hides the cursor
    os._exit(EXIT_CODE)


def _is_terminal() -> bool:
    return os.isatty(_state.descriptor)


def _write(text: str) -> None:
    """Straight to the descriptor: Python's stream may be in the middle of a line, and refuses then."""
    with suppress(OSError):
        os.write(_state.descriptor, text.encode())
