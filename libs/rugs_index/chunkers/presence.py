"""How often a field is there, and between which numbers it lies, in words that do not change with each new event."""

from __future__ import annotations

from math import floor, isfinite, log10
from typing import Final

from rugs_discovery.wording import number_text

PRESENCES: Final = ("always", "nearly always", "often", "sometimes", "rarely")
"""From the most to the least."""
_AT_LEAST: Final = (1.0, 0.95, 0.5, 0.1)
_EARLIEST_MS: Final = 1_400_000_000_000  # 2014
_LATEST_MS: Final = 2_400_000_000_000  # 2046
_LARGEST: Final = 1e15


def presence_of(count: float, parents: float) -> str:
    """Return a share as one of `PRESENCES`; all of nothing is `always`."""
    share = count / parents if parents else 1.0
    return next((name for name, least in zip(PRESENCES, _AT_LEAST, strict=False) if share >= least), PRESENCES[-1])


def range_of(low: float, high: float) -> str:
    """Return between which powers of ten numbers lie: `0 to 1,000`; one value that never changes as it is."""
    if not (isfinite(low) and isfinite(high)):
        return "any number"
    if _EARLIEST_MS <= low <= high <= _LATEST_MS:
        return "a time in milliseconds since 1970"
    if low == high:
        return f"always {number_text(low)} so far"
    return f"{number_text(-_outward(-low))} to {number_text(_outward(high))}"


def _outward(value: float) -> float:
    """Return the next power of ten above, or below 0 the next one towards 0, as a bound from above."""
    if value == 0 or abs(value) > _LARGEST:
        return value
    power = floor(log10(abs(value)))
    if value > 0:
        bound = 10.0**power
        return bound if bound >= value else 10.0 ** (power + 1)
    return -(10.0**power)
