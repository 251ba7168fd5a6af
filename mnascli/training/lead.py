"""How much better one network is than another, with an interval: both pictures and seeds make it uncertain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Lead:
    """How much more accurate one network is than another, in points (hundredths), with its 95 % interval."""

    points: float
    interval: tuple[float, float]


def paired_lead(right: npt.NDArray[np.bool_], right_other: npt.NDArray[np.bool_]) -> Lead:
    """The lead of a network over another, both (seeds, images): which pictures each training of it gets right.

    Pairs are the same picture and seed. The variances of the mean over pictures and over seeds are added, and the
    degrees of freedom are Satterthwaite's (1946): few seeds make it wide. With one seed it holds only for that seed.
    """
    difference = 100 * (right.astype(np.float64) - right_other)
    seeds, images = difference.shape
    points = float(difference.mean())
    parts = [(difference.mean(0), images)] if images > 1 else []
    parts += [(difference.mean(1), seeds)] if seeds > 1 else []
    variances = [(float(values.var(ddof=1)) / count, count - 1) for values, count in parts]
    variance = sum(one for one, _ in variances)
    if variance == 0:
        return Lead(points, (points, points))
    freedom = variance**2 / sum(one**2 / degrees for one, degrees in variances)
    half = t_95(freedom) * math.sqrt(variance)
    return Lead(points, (points - half, points + half))


def t_95(freedom: float) -> float:
    """Student's t within which 95 % of the values lie, for `freedom` degrees of freedom, 1 or more.

    With t = sqrt(freedom) tan(angle), the angle's density is cos(angle) to the power of freedom - 1.
    """
    angles = np.linspace(0, math.pi / 2, 200_001)
    shares = np.cumsum(np.cos((angles[1:] + angles[:-1]) / 2) ** (freedom - 1))
    angle = np.interp(0.95, shares / shares[-1], angles[1:])
    return math.sqrt(freedom) * math.tan(float(angle))
