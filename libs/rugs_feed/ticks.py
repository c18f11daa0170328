"""The ticks of one game: those that game states say themselves, and those that only their prices tell.

A game state says its own tick, and the prices of the last few: so a tick whose frame was lost
is told by the next ones. It is filled in from there, marked as such, with what is known of it
and nothing else. A filled tick never keeps out the exact one: they have different keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rugs_feed.checks import Tally
from rugs_feed.kinds import number
from rugs_feed.phases import ACTIVE_GAMEPLAY, GAME_ACTIVATION, IN_PLAY, RUGGED

Fields = dict[str, Any]

_TICK: Final = re.compile(r"[0-9]{1,18}")
MAX_TICK: Final = 100_000
"""Seven hours of play. What one frame tells of ticks above is left out: a hostile frame fills in no millions."""


class Ticks:
    """What has been derived of one game, from one source."""

    def __init__(self, game_id: str, tally: Tally) -> None:
        self.game_id = game_id
        self.prices: dict[int, int | float] = {}
        """Every tick that is known, with the first price told for it."""
        self.seed_hash: str | None = None
        """What players were told of the seed while the game went on."""
        self.first_place = self.last_place = 0
        """Where the first and the last event about it stand in what is read."""
        self._tally = tally
        self._keys: set[tuple[int, str | None, bool | None]] = set()

    def take(self, said: Fields, payload: Mapping[str, Any], cause: str) -> Iterator[Fields]:
        """Give the fields of the ticks that a game state tells for the first time.

        `said` is what `extract` made of the payload, with a tick and a price.
        """
        tick, price, phase, rugged = said["tick"], said["price"], said.get("phase"), said.get("rugged")
        prices = told_prices(payload)
        end = max(prices, default=tick)
        # The end of a game is told twice. The second time the count has gone on, and the prices have not.
        is_echo = rugged is True and end < tick and prices[end] == price
        if phase in IN_PLAY:
            for place in sorted(prices):
                if place < tick:
                    yield from self._fill(place, prices[place], cause, is_rug=is_echo and place == end)
        if is_echo:
            self._tally.counts["game_tick.echo"] += 1
            return
        self._compare(tick, price, cause)
        if (tick, phase, rugged) in self._keys:
            self._tally.counts["game_tick.repeated"] += 1
            return
        self._keys.add((tick, phase, rugged))
        self.prices.setdefault(tick, price)
        self._tally.counts["game_tick.direct"] += 1
        yield said

    def _fill(self, tick: int, price: int | float, cause: str, *, is_rug: bool) -> Iterator[Fields]:
        """Give a tick that is not known yet; the same one whichever frame tells it."""
        if self._compare(tick, price, cause):
            return
        self.prices[tick] = price
        phase = RUGGED if is_rug else GAME_ACTIVATION if tick == 0 else ACTIVE_GAMEPLAY
        self._tally.counts["game_tick.filled"] += 1
        yield {"price": price, "tick": tick, "phase": phase, "rugged": is_rug, "filled": True}

    def _compare(self, tick: int, price: int | float, cause: str) -> bool:
        """Return whether the tick is known, and check that its price is still the one told before."""
        known = self.prices.get(tick)
        if known is None:
            return False
        if known == price:
            self._tally.held("tick_price")
        else:
            self._tally.failed("tick_price", self.game_id, cause, f"tick {tick}: {known}, then {price}")
        return True


def told_prices(payload: Mapping[str, Any]) -> dict[int, int | float]:
    """Return the prices that a game state tells by tick: the last few, or on connecting all so far."""
    found: dict[int, int | float] = {}
    listed = payload.get("prices")
    if isinstance(listed, list):
        found = {tick: price for tick, price in enumerate(listed[: MAX_TICK + 1]) if number(price) is not None}
    partial = payload.get("partialPrices")
    values = partial.get("values") if isinstance(partial, dict) else None
    if isinstance(values, dict):
        for key, price in values.items():
            if _TICK.fullmatch(key) and int(key) <= MAX_TICK and number(price) is not None:
                found[int(key)] = price
    return found
