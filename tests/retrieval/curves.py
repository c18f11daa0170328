"""Prices of made-up games, drawn through given points."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from rugs_sim.made_up.chance import Chance

_NOISE: Final = 0.02
_INSIDE: Final = 1.001
"""How far other prices keep from the lowest and the highest of the given ones."""


def prices_of(curve: str, chance: Chance) -> list[float]:
    """Return the price of each tick of a game, the first 1 and the last that of the rug.

    Args:
        curve: points and the tick of the rug: `40:3.2 90:57.3 120` goes from 1 at tick 0 through 3.2 at tick 40
            to 57.3 at tick 90, stays near it, and rugs at tick 120. Given prices are met exactly, and no other
            price leaves their range.
    """
    *points, rug = curve.split()
    known = [(0, 1.0), *((int(tick), float(price)) for tick, price in (point.split(":") for point in points))]
    last = int(rug)
    exact = dict(known)
    low, high = min(exact.values()), max(exact.values())
    prices: list[float] = []
    for tick in range(last):
        price = exact[tick] if tick in exact else _between(known, tick) * chance.between(1 - _NOISE, 1 + _NOISE)
        prices.append(price if tick in exact else round(min(max(price, low * _INSIDE), high / _INSIDE), 9))
    return [*prices, round(chance.between(0.002, 0.02), 9)]


def _between(known: list[tuple[int, float]], tick: int) -> float:
    """Return the price on the straight line between the two points around a tick; behind the last, its price."""
    for (left, low), (right, high) in pairwise(known):
        if left <= tick <= right:
            return low + (high - low) * (tick - left) / (right - left)
    return known[-1][1]
