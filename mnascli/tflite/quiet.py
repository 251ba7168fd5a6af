"""What LiteRT's C++ writes to stderr when a process makes its first interpreter: INFO: Created TensorFlow Lite ...

There is no switch for it. So each process makes its first interpreter here, from a model of a few layers, while its
stderr goes to a file; everything that is not LiteRT's own information is then written where it belongs.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

OWN = re.compile(rb"INFO: .*(TensorFlow|TfLite|LiteRT|XNNPACK)")
_lock = threading.Lock()
_is_done = False


def quiet_runtime() -> None:
    """Get LiteRT's once-per-process message over with. Call it before making any interpreter, as often as you like."""
    global _is_done
    with _lock:
        if _is_done:
            return
        _is_done = True
        with _without_information():
            _make_interpreter()


def _make_interpreter() -> None:
    from ai_edge_litert.interpreter import Interpreter

    from mnascli.space import Architecture
    from mnascli.tflite.weights import Drawn
    from mnascli.tflite.writer import to_bytes

    smallest = Architecture.parse("stem_c4,ds_r1_k3_s1_c4,head_c4,net_i8_ch1_o2")
    Interpreter(model_content=to_bytes(smallest, Drawn(0))).allocate_tensors()


@contextmanager
def _without_information() -> Iterator[None]:
    """While it lasts descriptor 2 is a file; everything in it but LiteRT's lines is passed on at the end."""
    try:
        file, real = tempfile.TemporaryFile(), os.dup(2)  # noqa: SIM115  (closed below)
    except OSError:  # no space for a file, or no descriptor 2: then the line is seen
        yield
        return
    with file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            os.close(real)
            file.seek(0)
            others = b"".join(line for line in file if not OWN.match(line))
            with suppress(OSError):
                os.write(2, others)
