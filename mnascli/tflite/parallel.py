"""Predicting many pictures by processes with an interpreter each: this one, and others where they repay their start.

Processes and not threads: between LiteRT's calls threads wait for Python's lock. benchmarks/evaluate_tflite.py shows
how well both do. Pixels go through a memory-mapped file, logits come back through a pipe.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mnascli.errors import MnasError
from mnascli.tflite.interpreter import Runner

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

WORTH_S = 1.0  # of work that is left: for less no process is started, which takes about half of it
PIECE_S = 0.01  # of work that is handed over at a time, at least: so much that handing over is next to nothing
LARGEST_PIECE = 64  # images
BLOCK = 256  # images taken from the disk at a time: where they are decoded, all cores do it
AHEAD = 3  # pieces that a process has before it, so that it never waits for this one to come round
START = "import sys; sys.path[:] = {path!r}; from mnascli.tflite.parallel import serve; serve({pipe}, {memory})"


def predict_all(path: Path | str, images: Any, scale: Floats, offset: Floats, workers: int) -> Floats:
    """Logits (N, classes) of pixels (N, size, size, channels), any N, by up to so many processes, in their order.

    Pixels are normalised as pixel * scale + offset, each (channels,). `images` is sliced block by block, so it may be
    on the disk. Every image is run by itself: the logits do not depend on `workers`.
    Raises UsageError as `predict` does, MnasError where a process dies.
    """
    runner = Runner(path)
    logits = np.empty((len(images), runner.classes), np.float32)
    supply = _Supply(images)

    def work(start: int, pixels: Pixels) -> None:
        logits[start : start + len(pixels)] = runner.predict(pixels * scale + offset)

    piece = 1
    while supply.left:
        start, pixels = supply.take(piece)
        began = time.perf_counter()
        work(start, pixels)
        took_s = time.perf_counter() - began
        if took_s >= PIECE_S or piece == LARGEST_PIECE:
            break
        piece *= 2
    # Only here with nothing left, or after a full piece: its time tells how long the rest will take.
    helpers: AbstractContextManager[list[_Helper]] = contextlib.nullcontext([])
    if workers > 1 and supply.left and supply.left * took_s / len(pixels) > WORTH_S:
        helpers = _helpers(workers - 1, (piece, *runner.input_shape[1:]), (str(path), scale, offset))
    with helpers as others:
        while supply.left or any(one.has for one in others):
            # Without work of its own this process waits for the others, but not for one that has not even begun.
            for one in _answering([one for one in others if supply.left or one.has], wait_for_one=not supply.left):
                one.take_answer(logits)
            # Ever smaller towards the end, so that all end together.
            for one in others:
                while supply.left and one.wants:
                    one.give(*supply.take(min(piece, 1 + supply.left // (4 * workers))))
            if supply.left:
                work(*supply.take(min(piece, 1 + supply.left // (4 * workers))))
    return logits


class _Supply:
    """Images in their order, as many at a time as wanted or as a block still has."""

    def __init__(self, images: Any) -> None:
        self._images = images
        self._block: Pixels = images[:0]
        self.left = len(images)

    def take(self, count: int) -> tuple[int, Pixels]:
        """The number of the first of them, and the pixels."""
        start = len(self._images) - self.left
        if len(self._block) == 0:
            self._block = self._images[start : start + BLOCK]
        pixels, self._block = self._block[:count], self._block[count:]
        self.left -= len(pixels)
        return start, pixels


class _Helper:
    """The near end of another process: `shared` (AHEAD, piece, size, size, channels) are its places for pieces."""

    def __init__(self, process: subprocess.Popen[bytes], pipe: Connection, shared: Pixels) -> None:
        self.process = process
        self.pipe = pipe
        self._shared = shared
        self._ready = False
        self._given = 0
        self._pieces: deque[slice] = deque()

    @property
    def has(self) -> int:
        """Pieces it has not answered."""
        return len(self._pieces)

    @property
    def wants(self) -> bool:
        return self._ready and self.has < AHEAD

    def give(self, start: int, pixels: Pixels) -> None:
        place = self._given % AHEAD
        self._shared[place, : len(pixels)] = pixels
        with contextlib.suppress(BrokenPipeError):  # it died: reading the answer tells
            self.pipe.send((place, len(pixels)))
        self._pieces.append(slice(start, start + len(pixels)))
        self._given += 1

    def take_answer(self, logits: Floats) -> None:
        """Raises what went wrong there."""
        try:
            answer = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            code = self.process.wait()
            raise MnasError(
                f"a process that ran a part of the pictures ended with exit code {code}: try --workers 1"
            ) from None
        if isinstance(answer, Exception):
            raise answer
        if self._ready:
            logits[self._pieces.popleft()] = answer
        self._ready = True


def _answering(helpers: list[_Helper], wait_for_one: bool) -> list[_Helper]:
    ready = wait([one.pipe for one in helpers], None if wait_for_one else 0) if helpers else []
    return [one for one in helpers if one.pipe in ready]


@contextmanager
def _helpers(count: int, piece: tuple[int, ...], task: tuple[str, Floats, Floats]) -> Iterator[list[_Helper]]:
    """So many processes that end with the context, and by themselves where this process is killed."""
    helpers: list[_Helper] = []
    bytes_each = AHEAD * int(np.prod(piece))
    with tempfile.TemporaryFile() as file, contextlib.ExitStack() as ending:
        try:
            file.write(bytes(count * bytes_each))  # a file with holes would end the process where the disk is full
            file.flush()
        except OSError as error:
            raise MnasError(f"{tempfile.gettempdir()}: cannot be written: {error.strerror or error}") from error
        memory = np.frombuffer(mmap.mmap(file.fileno(), 0), np.uint8).reshape(count, AHEAD, *piece)
        for shared in memory:
            near, far = Pipe()
            ending.callback(near.close)
            with far:
                code = START.format(path=sys.path, pipe=far.fileno(), memory=file.fileno())
                process = subprocess.Popen(
                    [sys.executable, "-c", code],
                    pass_fds=(far.fileno(), file.fileno()),
                    stdin=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # LiteRT's greeting; what goes wrong comes through the pipe
                    process_group=0,  # Ctrl-C is for this process, which ends them
                )
            ending.callback(process.wait)
            ending.callback(process.kill)
            near.send((len(helpers) * bytes_each, piece, *task))
            helpers.append(_Helper(process, near, shared))
        yield helpers


def serve(pipe_number: int, memory_number: int) -> None:
    """What the other processes do: answer pieces with logits, or with the exception that ends them."""
    with Connection(pipe_number) as pipe:
        try:
            begin, piece, path, scale, offset = pipe.recv()
            memory = mmap.mmap(memory_number, os.fstat(memory_number).st_size, access=mmap.ACCESS_READ)
            shape = (AHEAD, *piece)
            shared = np.frombuffer(memory, np.uint8, int(np.prod(shape)), begin).reshape(shape)
            runner = Runner(path)
            pipe.send(None)
            while True:
                place, count = pipe.recv()
                pipe.send(runner.predict(shared[place, :count] * scale + offset))
        except (EOFError, OSError):
            return  # nobody is there any more
        except Exception as error:
            pipe.send(error)
