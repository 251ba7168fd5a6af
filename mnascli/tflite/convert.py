"""The final export: a torch network through litert-torch, Google's converter (once called ai-edge-torch)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mnascli.errors import MnasError
from mnascli.tflite.files import replacing


class Described(Protocol):
    """What the converter needs to know about a network: an `Architecture`, or a stand-in. Its text names it."""

    @property
    def size(self) -> int: ...
    @property
    def channels(self) -> int: ...


def convert(network: nn.Module, architecture: Described, path: Path | str) -> Path:
    """Export a network (N, channels, size, size) as a float .tflite with the interface of `mnascli.tflite.write`.

    The network is converted in evaluation mode and left in the mode it was in. It takes seconds to a minute;
    meanwhile the converter's messages on stdout and stderr are dropped, for the whole process.
    Raises MnasError if litert-torch is not installed or fails, or the file cannot be written.
    """
    path = Path(path)
    image = torch.zeros(1, architecture.size, architecture.size, architecture.channels)
    training = network.training
    try:
        with replacing(path) as temporary, quiet():
            litert_torch = import_converter()
            wrapped = _ChannelsLast(network).eval()
            litert_torch.convert(wrapped, sample_kwargs={"image": image}).export(str(temporary))
    except (MnasError, OSError):
        raise
    except Exception as error:  # whatever the converter raises, its traceback is of no use to the user
        reason = next(iter(str(error).splitlines()), "")
        raise MnasError(f"litert-torch cannot convert {architecture}: {type(error).__name__}: {reason}") from error
    finally:
        network.train(training)
    return path


class _ChannelsLast(nn.Module):
    """Pictures as TFLite has them, (N, size, size, channels); the argument and the key become the signature's names."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"logits": self.network(image.permute(0, 3, 1, 2))}


def import_converter() -> Any:
    """The module litert_torch; imported here because that alone takes seconds. Raises MnasError if it is missing."""
    try:
        import litert_torch
    except ImportError as error:
        raise MnasError(
            "the conversion needs the package litert-torch, which exists for Linux on x86_64 and macOS on arm64 only: "
            "install it there, or use the file that mnas' own writer makes (mnascli.tflite.write)"
        ) from error
    return litert_torch


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what is printed, at the level of file descriptors 1 and 2: part of the chatter comes from C++."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    with Path(os.devnull).open("w") as sink, redirect_stdout(sink), redirect_stderr(sink):
        try:
            for descriptor in saved:
                os.dup2(sink.fileno(), descriptor)
            yield
        finally:
            for descriptor, copy in saved.items():
                os.dup2(copy, descriptor)
                os.close(copy)
