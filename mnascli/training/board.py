"""The progress of a training for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mnascli.data.extras import extra


class Board:
    """Writes event files; its methods are what `mnascli.training.train` calls."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def on_steps(self, step: int, loss: float, learning_rate: float) -> None:
        self._writer.add_scalar("loss/train", loss, step)
        self._writer.add_scalar("learning_rate", learning_rate, step)

    def on_epoch(self, epoch: int, accuracy: float) -> None:
        self._writer.add_scalar("accuracy/validation", accuracy, epoch)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def open_board(folder: Path) -> Board:
    """Event files in `folder`. Raises UsageError if the package tensorboard is missing."""
    extra("tensorboard", "tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    return Board(SummaryWriter(str(folder)))
