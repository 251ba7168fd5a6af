"""The 95 % interval of a share that was counted."""

from __future__ import annotations

import math

Z_95 = 1.959963984540054  # of the normal distribution, for a 95 % interval


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of the true share, after `count` images gave `share` (Wilson, 1927)."""
    spread = Z_95**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = Z_95 / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    # Rounding alone would put a share of 0 or 1 outside.
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))
