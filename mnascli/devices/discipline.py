"""How a latency is measured on a device: the numbers in its profile."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from mnascli.schema import Schema

LONGEST_S = 86_400.0  # a day


class Cooling(Schema):
    """When a device is too warm to start a session, and how long it is left to cool."""

    max_temperature_c: float | None = Field(default=None, gt=0, le=200)
    max_thermal_status: int = Field(default=0, ge=0, le=100)
    pause_s: float = Field(default=10.0, ge=0, le=LONGEST_S)
    """The first cool-down; each further one of a batch takes twice as long, up to `max_pause_s`."""
    max_pause_s: float = Field(default=90.0, ge=0, le=LONGEST_S)


class Discipline(Schema):
    """How a latency is measured. Fractions, not percents: 0.03 is 3 %."""

    warmups: int = Field(default=10, ge=0, le=1_000_000)
    warmup_min_s: float = Field(default=0.5, ge=0, le=LONGEST_S)
    runs: int = Field(default=50, ge=1, le=1_000_000)
    min_s: float = Field(default=1.0, ge=0, le=LONGEST_S)
    timeout_s: float = Field(default=120.0, gt=0, le=LONGEST_S)
    sessions: int = Field(default=3, ge=1, le=1000)
    keep: int = Field(default=3, ge=1, le=1000)
    round_min_s: float = Field(default=0.0, ge=0, le=LONGEST_S)
    """A round takes at least this long, so that the sessions of a single model are spread over time too."""
    max_spread: float = Field(default=0.15, gt=0)
    max_difference: float = Field(default=0.03, gt=0)
    retries: int = Field(default=3, ge=0, le=1000)
    reference_every: int = Field(default=5, ge=1, le=1000)
    max_drift: float = Field(default=0.03, gt=0)
    discard_drift: float = Field(default=0.10, gt=0)
    shared: bool = False
    """Other work runs on the device all the time: see `choosing`."""
    cooling: Cooling = Cooling()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.keep > self.sessions:
            raise ValueError(f"keep ({self.keep}) must not be above sessions ({self.sessions})")
        if self.discard_drift < self.max_drift:
            raise ValueError(f"discard_drift ({self.discard_drift}) must not be below max_drift ({self.max_drift})")
        return self
