"""Accuracy and latency as one number: the paper's soft and hard rewards, and TuNAS's absolute one.

    soft, hard   ACC * (LAT/T)^w, w = alpha where LAT <= T, else beta     paper, section 3
    absolute     ACC + beta * |LAT/T - 1|                                  TuNAS (2008.06120), section 3

Soft (alpha = beta = -0.07): 5 % more accuracy makes up for twice the latency. Hard (alpha = 0, beta = -1): within
the target only accuracy counts. Absolute (beta = -0.10): too fast is as bad as too slow, so that one search ends at the
target.
With several devices each has its own target; their factors are multiplied, the absolute penalties added.

A candidate measured beyond `hopeless` times a target cannot win, so it need not be trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mnascli.schema import Schema, parse

ObjectiveKind = Literal["soft", "hard", "absolute"]
Milliseconds = float | Mapping[str, float]  # milliseconds: of the one device, or of each by its name

EXPONENTS: dict[ObjectiveKind, tuple[float, float]] = {
    "soft": (-0.07, -0.07),
    "hard": (0.0, -1.0),
    "absolute": (-0.10, -0.10),
}
SLOWEST_MS = 1e6  # a target's maximum: a quarter of an hour for one picture
WORST_RATIO = 11.0  # the absolute reward has no lower bound of its own: beyond 11 times the target it gets no worse


def check_target(value: Any) -> Any:
    """A target as written in YAML, checked: milliseconds above 0, or that for each device. Raises ValueError."""
    targets = value if isinstance(value, Mapping) else {"target": value}
    if not targets:
        raise ValueError("no device is named; give milliseconds, or milliseconds for each device")
    for name, milliseconds in targets.items():
        if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
            raise ValueError(f"milliseconds were expected, not {milliseconds!r}")
        of_device = f" of {name}" if isinstance(value, Mapping) else ""
        if not (0 < milliseconds < math.inf):
            raise ValueError(f"the target{of_device} must be above 0 ms, not {milliseconds}")
        if milliseconds > SLOWEST_MS:
            raise ValueError(f"the target{of_device} must be at most {SLOWEST_MS:,.0f} ms, not {milliseconds:.6g}")
    return value


class Objective(Schema):
    """A reward to be maximised; `make_objective` makes it from what a user wrote."""

    kind: ObjectiveKind = Field("soft", description="soft, hard (both of the paper) or absolute (TuNAS).")
    alpha: float | None = Field(
        None, ge=-10, le=0, description="Exponent within the target: -0.07 for soft, 0 for hard; absolute has none."
    )
    beta: float | None = Field(
        None,
        ge=-10,
        le=0,
        description="Exponent beyond the target: -0.07 for soft, -1 for hard; absolute: its weight, -0.10.",
    )
    hopeless: float | None = Field(
        None,
        gt=1,
        le=1e6,
        description="Candidates slower than this multiple of a target are not trained; null: all are.",
    )
    target_ms: Annotated[float | dict[str, float], BeforeValidator(check_target)] = Field(
        description="Target latency T in milliseconds, or one for each device by its name."
    )

    @model_validator(mode="after")
    def _no_alpha_in_absolute(self) -> Self:
        if self.kind == "absolute" and self.alpha is not None:
            raise ValueError("alpha: the absolute reward has only beta; leave alpha out")
        return self

    @property
    def failed(self) -> float:
        """The reward of a trial that gave no result: as bad as accuracy 0, and no result ever scores below it."""
        if self.kind != "absolute":
            return 0.0
        devices = len(self.target_ms) if isinstance(self.target_ms, dict) else 1
        return self._exponents[1] * (WORST_RATIO - 1) * devices

    def reward(self, accuracy: float, latency_ms: Milliseconds) -> float:
        """The reward of an accuracy (0 to 1) at a measured latency.

        `latency_ms` is a number if the target is one, else one for each of the target's devices.
        Raises ValueError for an impossible accuracy or latency, and for devices other than the target's: what went
        wrong in a trial must not get here.
        """
        if not 0 <= accuracy <= 1:
            raise ValueError(f"an accuracy from 0 to 1 was expected, not {accuracy}")
        alpha, beta = self._exponents
        ratios = self._ratios(latency_ms)
        if self.kind == "absolute":
            return max(self.failed, accuracy + beta * sum(abs(ratio - 1) for ratio in ratios))
        return math.prod((ratio ** (alpha if ratio <= 1 else beta) for ratio in ratios), start=accuracy)

    def is_hopeless(self, latency_ms: Milliseconds) -> bool:
        """Whether a candidate so slow need not be trained. Raises ValueError as `reward` does."""
        return self.hopeless is not None and max(self._ratios(latency_ms)) > self.hopeless

    @property
    def _exponents(self) -> tuple[float, float]:
        alpha, beta = EXPONENTS[self.kind]
        return (alpha if self.alpha is None else self.alpha, beta if self.beta is None else self.beta)

    def _ratios(self, latency_ms: Milliseconds) -> list[float]:
        """LAT/T for each device."""
        latencies = dict(latency_ms) if isinstance(latency_ms, Mapping) else {"": latency_ms}
        targets = self.target_ms if isinstance(self.target_ms, dict) else {"": self.target_ms}
        if latencies.keys() != targets.keys():
            raise ValueError(f"latencies of {sorted(latencies)} do not fit the targets of {sorted(targets)}")
        for milliseconds in latencies.values():
            if not 0 < milliseconds < math.inf:
                raise ValueError(f"a latency above 0 ms was expected, not {milliseconds}")
        return [latencies[name] / target for name, target in targets.items()]


def make_objective(values: Mapping[str, Any], source: str = "objective") -> Objective:
    """The objective from plain values, as in YAML. Raises UsageError naming source and key."""
    return parse(Objective, values, source)
