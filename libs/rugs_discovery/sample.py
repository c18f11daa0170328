"""A few of many distinct values, the same ones whatever order they come in.

Each value has a rank, a hash of it. The sample holds the values with the lowest ranks: samples of parts, merged, are
the sample of the whole; and below its bound a sample holds all distinct values.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection
from typing import Final, TypeVar

_V = TypeVar("_V")
Scalar = str | int | float | bool
SIZE: Final = 24
"""Values that a sample holds, at the most."""
LONGEST: Final = 200
"""Characters of a sampled string; longer ones are cut, and `...` follows."""

_MANY: Final = 4 * SIZE
_SPREAD: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1


class Sample:
    """Values by rank.

    Attributes:
        values: the values, by (rank, value's text).
        is_whole: whether no distinct value was left out.
    """

    __slots__ = ("is_whole", "limit", "values")

    def __init__(self) -> None:
        self.values: dict[tuple[int, str], Scalar] = {}
        self.is_whole = True
        self.limit = _MASK

    def add_strings(self, distinct: Collection[str]) -> None:
        """Take distinct strings."""
        ranked = [(zlib.crc32(text.encode(errors="surrogatepass")) * _SPREAD & _MASK, text) for text in distinct]
        for rank, text in self._lowest(ranked):
            cut = text if len(text) <= LONGEST else text[:LONGEST] + "..."
            self.values[rank, cut] = cut
        self._shrink()

    def add_numbers(self, distinct: Collection[float]) -> None:
        """Take distinct numbers: 1 and 1.0 are one. NaN has no place among them."""
        for rank, value in self._lowest([(hash(value) * _SPREAD & _MASK, value) for value in distinct]):
            whole = int(value) if isinstance(value, float) and value.is_integer() else value
            self.values[rank, repr(whole)] = whole
        self._shrink()

    def _lowest(self, ranked: list[tuple[int, _V]]) -> list[tuple[int, _V]]:
        """Return those that may belong to the sample: distinct values can have one rank, so perhaps a few more."""
        lowest = [each for each in ranked if each[0] <= self.limit]
        if len(lowest) > _MANY:  # ranks are spread evenly, so a guess leaves few to sort
            guess = _MASK // len(lowest) * 3 * SIZE
            low = sorted(rank for rank, _ in lowest if rank <= guess)
            limit = low[SIZE - 1] if len(low) >= SIZE else _MASK
            lowest = [each for each in lowest if each[0] <= limit]
        if len(lowest) < len(ranked):
            self.is_whole = False
        return lowest

    def merge(self, other: Sample) -> None:
        """Take the values of another sample."""
        self.values |= other.values
        self.is_whole = self.is_whole and other.is_whole
        self._shrink()

    def _shrink(self) -> None:
        if len(self.values) >= SIZE:
            kept = sorted(self.values)[:SIZE]
            self.is_whole = self.is_whole and len(self.values) == SIZE
            self.values = {key: self.values[key] for key in kept}
            self.limit = kept[-1][0]
