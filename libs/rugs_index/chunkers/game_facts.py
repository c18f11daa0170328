"""What the rows of one game say of it, read once, in bounded memory: ticks, trades, side bets, how it ended.

The rules are those of the views `tick` and `game_completeness` (`rugs_lake.domains.games`): of a tick that several rows
have, the exact row goes before a filled one, and the latest before earlier ones; a filler is no tick, nor is the
frame after a rug; the last tick is what the history says, else the first rugged one, else the last one known.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import inf, isfinite
from typing import Any, Final, NamedTuple

from rugs_feed.kinds import number, whole
from rugs_index.chunkers.game_bets import SideBets, side_bets
from rugs_index.chunkers.game_curve import Point
from rugs_index.chunkers.game_trades import Trades
from rugs_index.rows import StoredRow
from rugs_lake.domains.games import LAST_TICK

STATE: Final = "gameStateUpdate"
TRADE: Final = "standard/newTrade"
MOST_RECORDINGS: Final = 50
"""Recordings of a game whose names are kept."""

_ECHO: Final = "RUG_EVENT_1"
_WAITING: Final = frozenset({"COOLDOWN", "PRESALE", "UNKNOWN"})
"""Phases in which a game has not begun: the tick is 0, and the price says nothing."""
_ENDS: Final = frozenset({"game_end", "game_complete", "game_document"})
"""System events with which old recorders said how a game had ended."""


class Tick(NamedTuple):
    """What one row says of a tick. Of several rows the least one counts."""

    is_filled: bool
    is_no_rug: bool
    minus_ts: int
    source: str
    id: str
    price: float


@dataclass(eq=False)
class GameFacts:
    """What is known of a game: `add` all its public rows, in the order of a scope, and then ask.

    Attributes:
        first: the first row; None before it.
        last_ts: of the last row, microseconds.
        ticks: what rows say of each tick, also of those behind its end.
        started, started_tick: when play was seen first, and at which tick; `until`: when it was seen last.
        rug: the first tick that a row calls rugged; `rugged`: whether anything says that the game rugged.
        history: fields of the feed's own record of the completed game; empty where there is none.
        noted: what old recorders wrote at the game's end; empty where there is nothing.
        trade_count: how many trades the feed counted, at the most.
        snapshots: the frames to look into: the first one in play, that of the peak, of the rug, and the last one.
        recordings: names of the recordings it is known from, or `SOURCE/SESSION`: `MOST_RECORDINGS` at the most.
    """

    game_id: str
    first: StoredRow | None = None
    last_ts: int = 0
    ticks: dict[int, Tick] = field(default_factory=dict)
    started: int | None = None
    started_tick: int | None = None
    until: int | None = None
    rug: int | None = None
    rugged: bool = False
    history: Mapping[str, Any] = field(default_factory=dict)
    history_id: str | None = None
    noted: Mapping[str, Any] = field(default_factory=dict)
    trades: Trades = field(default_factory=Trades)
    trade_count: int = 0
    snapshots: dict[str, StoredRow] = field(default_factory=dict)
    recordings: dict[str, None] = field(default_factory=dict)
    _peak: float = -1.0
    _session: str | None = None

    def add(self, row: StoredRow) -> None:
        """Take the next public row of the game. Never fails."""
        if self.first is None:
            self.first = row
        self.last_ts = row.ts
        if row.session_id != self._session:
            self._session = row.session_id
            if len(self.recordings) < MOST_RECORDINGS:
                self.recordings.setdefault(row.recording or f"{row.source}/{row.session_id}")
        kind = row.doc_type
        if kind == "game_tick":
            self._tick(row)
        elif kind == "ws_event":
            if row.event == STATE:
                self._frame(row)
            elif row.event == TRADE:
                self.trades.add(row)
        elif kind == "game":
            self._history(row)
        elif kind == "system_event" and row.event in _ENDS:
            self.noted = {**self.noted, **row.extras}

    def _frame(self, row: StoredRow) -> None:
        self.snapshots["last"] = row
        if self._tick(row):
            self.snapshots.setdefault("first", row)
            assert row.price is not None  # noqa: S101 - it is a tick
            if row.price > self._peak:
                self._peak = row.price
                self.snapshots["peak"] = row
        if row.rugged:
            self.snapshots.setdefault("rug", row)

    def _tick(self, row: StoredRow) -> bool:
        """Take what a row says of a tick; return whether it says something, of a game in play."""
        if row.rugged:
            self.rugged = True
        if row.trade_count is not None and row.trade_count > self.trade_count:
            self.trade_count = row.trade_count
        tick, price = row.tick, row.price
        if row.is_filler or row.phase == _ECHO or tick is None or not 0 <= tick <= LAST_TICK:
            return False
        if price is None or not (isfinite(price) and price >= 0):
            return False
        if row.rugged and (self.rug is None or tick < self.rug):
            self.rug = tick
        known = self.ticks.get(tick)
        told = Tick(row.filled is True, row.rugged is not True, -row.ts, row.source, row.id, price)
        if known is None or told < known:
            self.ticks[tick] = told
        if row.phase in _WAITING or (row.cooldown_timer or 0) > 0:
            return False
        if self.started is None:
            self.started, self.started_tick = row.ts, tick
        elif row.ts == self.started and tick < (self.started_tick or 0):
            self.started_tick = tick  # the ticks of a document have one time
        if self.rug is None or tick <= self.rug:
            self.until = row.ts
        return True

    def _history(self, row: StoredRow) -> None:
        if not self.history:
            self.history, self.history_id = row.extras, row.id
        if row.rugged:
            self.rugged = True

    @property
    def end_tick(self) -> int | None:
        """The tick that is known to be the game's last; None where nobody knows it."""
        told = whole(self.history.get("last_tick"))
        return told if told is not None and 0 <= told <= LAST_TICK else self.rug

    @cached_property
    def last_tick(self) -> int | None:
        """The game's last tick, or the last one known; None where none is."""
        return max(self.ticks, default=None) if self.end_tick is None else self.end_tick

    @cached_property
    def points(self) -> list[Point]:
        """The prices that are known, by tick, those that only the history has as well, the last one included."""
        if self.last_tick is None:
            return []
        found: dict[int, float] = {}
        prices = self.history.get("prices")
        for tick, price in enumerate(prices[: self.last_tick + 1] if isinstance(prices, list) else ()):
            known = price if type(price) is float and 0 <= price < inf else _price(price)
            if known is not None:
                found[tick] = known
        found |= {tick: each.price for tick, each in self.ticks.items() if tick <= self.last_tick}
        return list(map(Point._make, sorted(found.items())))

    @property
    def rug_tick(self) -> int | None:
        """The tick at which the game rugged; None where it did not, or nobody knows when."""
        return self.end_tick if self.rugged else None

    @cached_property
    def curve(self) -> list[Point]:
        """The known prices above 0, without that of the rug."""
        rug = self.rug_tick
        return [point for point in self.points if point[1] > 0 and point[0] != rug]

    @cached_property
    def peak(self) -> Point | None:
        """The highest price, and the first tick that had it; tick -1: nobody knows which."""
        known = max(self.points, key=lambda point: (point.price, -point.tick), default=None)
        notes = (self.history.get("peak_multiplier"), self.noted.get("peak_multiplier"), self.noted.get("peak_price"))
        told = next((price for each in notes if (price := _price(each)) is not None), None)
        if told is None or (known is not None and (known.price >= told or not self.history)):
            return known
        return Point(-1, told)

    @cached_property
    def side_bets(self) -> SideBets | None:
        """The side bets on the game; None where nobody knows of any."""
        return side_bets(self.history.get("global_sidebets"))

    @cached_property
    def _timeline(self) -> list[tuple[int, int]]:
        last = -1 if self.last_tick is None else self.last_tick
        return sorted((-known.minus_ts, tick) for tick, known in self.ticks.items() if tick <= last)

    def tick_at(self, ts: int) -> int | None:
        """Return the tick that the game had come to at a time; None before the first and where none is known."""
        place = bisect_right(self._timeline, (ts, LAST_TICK))
        return self._timeline[place - 1][1] if place else None

    def price_at(self, tick: int) -> float | None:
        """Return the price of a tick; None where it is not known."""
        known = self.ticks.get(tick)
        return None if known is None else known.price


def _price(value: object) -> float | None:
    """Return a number that can be a price; None where it is none."""
    price = number(value)
    return None if price is None or price < 0 else float(price)


def facts_of(game_id: str, rows: Iterable[StoredRow]) -> GameFacts:
    """Return what the public rows of a game say, in the order of a scope."""
    facts = GameFacts(game_id)
    for row in rows:
        if row.owner is None:
            facts.add(row)
    return facts
