"""Whether two ways to rate candidates put them in the same order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Tau(NamedTuple):
    """Kendall's tau-b, from -1 (reversed) over 0 to 1 (the same order), and how likely chance gives as much."""

    tau: float
    p_value: float


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> Tau:
    """Kendall's tau-b of two ratings of the same things; ties count as neither order.

    The two-sided p-value is that of the normal approximation without ties, good from about ten things on. Both are
    nan if one rating is the same for all, or fewer than two things are rated. Raises ValueError if the numbers
    of ratings differ. O(n^2).
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} ratings of the same things")
    n = len(first)
    if n < 2:
        return Tau(math.nan, math.nan)
    upper = np.triu_indices(n, 1)
    one, other = (np.sign(np.subtract.outer(values, values))[upper] for values in (first, second))
    untied = math.sqrt(float(np.count_nonzero(one)) * float(np.count_nonzero(other)))
    if untied == 0:
        return Tau(math.nan, math.nan)
    tau = float((one * other).sum() / untied)
    return Tau(tau, p_value_of(tau, n))


def p_value_of(tau: float, n: int) -> float:
    """The two-sided p-value of a tau of `n` things, two or more: the normal approximation without ties."""
    deviation = math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))
    return math.erfc(abs(tau) / deviation / math.sqrt(2))
