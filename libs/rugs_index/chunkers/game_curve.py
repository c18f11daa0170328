"""The shape of a game's price curve, in words: a small deterministic classifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

INSTARUG_TICKS: Final = 6
"""A game that rugs within so many ticks counts as an instarug: `rugpool.config.instarugThreshold` of the feed."""

_FLAT: Final = 1.2
"""Highest over lowest price, up to which a curve is flat."""
_ROSE: Final = 1.25
"""A peak below this was no rise: games start at 1."""
_SWING: Final = 1.6
"""By what factor the price must rise and then fall for a peak to count as one of several."""
_HIGH: Final = 0.5
"""What share of the highest peak another one must reach to be counted beside it."""
_LOST: Final = 0.8
"""What share of its first price a curve without a rise has lost if it ends at or below it."""
_AT_ITS_HEIGHT: Final = 0.7
_FALLEN: Final = 0.6
"""Shares of the peak: at or above the first the price has held, at or below the second it has fallen."""
_EARLY: Final = 1 / 3
_LATE: Final = 0.75
"""Shares of the game's length."""
_DIP: Final = 0.7
"""A rise is steady if the price never falls to this share of the highest price before."""


class Point(NamedTuple):
    """The price of one tick."""

    tick: int
    price: float


class Shape(NamedTuple):
    """The shape of a curve: its name, and what a game of this shape did, in words."""

    name: str
    words: str


INSTARUG: Final = Shape("instarug", "rugged almost immediately (instarug)")
FLAT: Final = Shape("flat", "moved sideways and stayed flat")
SLOW_BLEED: Final = Shape("slow_bleed", "fell from the start and slowly bled out without ever going up")
CLIMB_IN_WAVES: Final = Shape("climb_in_waves", "climbed in waves, from one higher peak to the next")
SEVERAL_PEAKS: Final = Shape("several_peaks", "went up and down in many waves, with several peaks")
EARLY_SPIKE: Final = Shape("early_spike", "spiked early and then bled out")
RISE_AND_FALL: Final = Shape("rise_and_fall", "rose to a peak and then fell back (pump and dump)")
STEADY_RISE: Final = Shape("steady_rise", "rose steadily and was still near its peak at the end")
LATE_RISE: Final = Shape("late_rise", "first dipped or moved sideways, and climbed late to its peak")
CHOPPY: Final = Shape("choppy", "swung up and down without a clear direction")
SHAPES: Final = (
    INSTARUG, FLAT, SLOW_BLEED, CLIMB_IN_WAVES, SEVERAL_PEAKS, EARLY_SPIKE, RISE_AND_FALL, STEADY_RISE, LATE_RISE,
    CHOPPY,
)  # fmt: skip


def shape_of(curve: Sequence[Point], rug_tick: int | None) -> Shape | None:
    """Return the shape of a curve; None where too little of it is known.

    Args:
        curve: positive prices by tick, in order; that of the rug is left out.
        rug_tick: None where the game has not rugged, or nobody knows when.
    """
    if rug_tick is not None and rug_tick <= INSTARUG_TICKS:
        return INSTARUG
    prices = [point.price for point in curve]
    if len(prices) <= INSTARUG_TICKS:
        return None
    top, bottom, end = max(prices), min(prices), prices[-1]
    if top < bottom * _FLAT:
        return FLAT
    if top < _ROSE * prices[0]:
        return SLOW_BLEED if end <= _LOST * prices[0] else CHOPPY
    peaks = list(_peaks(prices))
    if sum(peak >= _HIGH * top for peak in peaks) > 1:
        return CLIMB_IN_WAVES if peaks == sorted(peaks) and end >= _AT_ITS_HEIGHT * top else SEVERAL_PEAKS
    return _one_peak(curve, top, end)


def _one_peak(curve: Sequence[Point], top: float, end: float) -> Shape:
    at = next(place for place, point in enumerate(curve) if point.price == top)
    first, last = curve[0].tick, curve[-1].tick
    position = (curve[at].tick - first) / (last - first)
    if end <= _FALLEN * top:
        return EARLY_SPIKE if position <= _EARLY else RISE_AND_FALL
    if position >= _LATE or end >= _AT_ITS_HEIGHT * top:
        return STEADY_RISE if _is_steady([point.price for point in curve[: at + 1]]) else LATE_RISE
    return CHOPPY


def _is_steady(prices: Sequence[float]) -> bool:
    highest = 0.0
    for price in prices:
        highest = max(highest, price)
        if price <= _DIP * highest:
            return False
    return True


def _peaks(prices: Sequence[float]) -> Iterator[float]:
    """Give the prices at which the curve turned down after a rise; the last rise counts as well."""
    low = high = prices[0]
    for price in prices:
        high = max(high, price)
        if high < _SWING * low:
            low = min(low, price)
            high = max(low, price)
        elif price * _SWING <= high:
            yield high
            low = high = price
    if high >= _SWING * low:
        yield high


class Jump(NamedTuple):
    """The largest change of the price from one tick to the next."""

    tick: int
    before: float
    after: float


def largest_jump(curve: Sequence[Point]) -> Jump | None:
    """Return the largest change from one tick to the next, by its factor; None without two ticks in a row."""
    best, factor = None, 1.0
    for (tick, before), (next_tick, after) in pairwise(curve):
        if (after > before * factor or before > after * factor) and before and after and next_tick == tick + 1:
            best, factor = Jump(next_tick, before, after), max(after / before, before / after)
    return best
