"""What panels tell the screen they stand on."""

from __future__ import annotations

from textual.message import Message


class TrialChosen(Message):
    """A trial is to be looked at."""

    def __init__(self, trial: int) -> None:
        super().__init__()
        self.trial = trial
