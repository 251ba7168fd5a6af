"""What panels tell the screen they are on."""

from __future__ import annotations

from textual.message import Message


class TrialChosen(Message):
    """A trial is to be shown."""

    def __init__(self, trial: int) -> None:
        super().__init__()
        self.trial = trial
