"""How complete a game is, reckoned by hand: what the lake's view has to agree with.

A `Completeness` is a value, built from a game's ticks in any order. Ticks are kept as the bits of a whole number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rugs_feed.ticks import MAX_TICK

Span = tuple[int, int]
"""First and last tick of a run without a hole."""


@dataclass(frozen=True)
class Completeness:
    """The ticks known of one game.

    Attributes:
        direct: ticks that a game state said itself, as bits.
        told: ticks whose price is known in any way, as bits.
        rug: the first tick that is told to be rugged: the game's last one. A feed goes on
            counting for a tick or two after it; those are none of the game's.
        last: the game's last tick, where its history says it.
    """

    direct: int = 0
    told: int = 0
    rug: int | None = None
    last: int | None = None

    def add(self, tick: int, *, filled: bool = False, rugged: bool = False) -> Completeness:
        """Return this with one more tick."""
        if not 0 <= tick <= MAX_TICK:
            return self
        bit = 1 << tick
        return Completeness(
            self.direct if filled else self.direct | bit,
            self.told | bit,
            _least(self.rug, tick) if rugged else self.rug,
            self.last,
        )

    def end(self, last: int) -> Completeness:
        """Return this with the game's last tick as a history tells it."""
        return replace(self, last=_greatest(self.last, last)) if 0 <= last <= MAX_TICK else self

    @property
    def ended(self) -> bool:
        """Whether the game's last tick is known to be its last."""
        return self.rug is not None or self.last is not None

    @property
    def last_tick(self) -> int | None:
        """The game's last tick; while it goes on, the last one known."""
        if self.last is not None:
            return self.last
        if self.rug is not None:
            return self.rug
        return self.told.bit_length() - 1 if self.told else None

    @property
    def direct_ticks(self) -> int:
        """How many of the game's ticks were received themselves."""
        return (self.direct & self._whole).bit_count()

    @property
    def filled_ticks(self) -> int:
        """How many are known only from what a later game state told of them."""
        return (self.told & ~self.direct & self._whole).bit_count()

    @property
    def missing(self) -> list[Span]:
        """The runs of ticks from 0 to the last one of which nothing is known."""
        return spans(self._whole & ~self.told)

    @property
    def missing_ticks(self) -> int:
        """How many ticks from 0 to the last one nothing is known of."""
        return (self._whole & ~self.told).bit_count()

    @property
    def complete(self) -> bool:
        """Whether the game has ended and every tick is known."""
        return self.ended and self.missing_ticks == 0

    @property
    def _whole(self) -> int:
        last = self.last_tick
        return 0 if last is None else (1 << (last + 1)) - 1


def completeness(rows: Iterable[Mapping[str, Any]]) -> dict[str, Completeness]:
    """Return each game's completeness from derived rows (or any maps with the same keys).

    Rows that are neither a tick nor a game, or name no game or tick, say nothing; nor does a
    tick that an old recorder made up, or that it took out of the frame after a rug.
    """
    found: dict[str, Completeness] = {}
    for row in rows:
        game, fields = row.get("game_id"), row.get("fields", {})
        if game is None or fields.get("is_filler") or fields.get("phase") == "RUG_EVENT_1":
            continue
        known = found.get(game, Completeness())
        tick, last = fields.get("tick"), fields.get("last_tick")
        if row.get("doc_type") == "game_tick" and tick is not None:
            filled, rugged = fields.get("filled") is True, fields.get("rugged") is True
            found[game] = known.add(tick, filled=filled, rugged=rugged)
        elif row.get("doc_type") == "game" and last is not None:
            found[game] = known.end(last)
    return found


def spans(bits: int) -> list[Span]:
    """Return the runs of set bits, lowest first."""
    found: list[Span] = []
    offset = 0
    while bits:
        zeros = (bits & -bits).bit_length() - 1
        bits >>= zeros
        ones = (~bits & -~bits).bit_length() - 1
        found.append((offset + zeros, offset + zeros + ones - 1))
        bits >>= ones
        offset += zeros + ones
    return found


def _least(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def _greatest(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)
