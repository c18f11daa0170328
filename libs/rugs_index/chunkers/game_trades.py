"""The largest trades of a game: who bought or sold how much, and when."""

from __future__ import annotations

from math import isfinite
from typing import Final, NamedTuple

from rugs_index.rows import StoredRow

KEPT: Final = 3
"""Trades that are kept of each kind."""
KINDS: Final = ("buy", "sell")


class Trade(NamedTuple):
    """A trade of a player; `amount` in SOL."""

    amount: float
    player: str
    tick: int | None
    price: float | None
    ts: int
    trade_id: str


class Trades:
    """The largest buys and sells of a game. A trade that two sources recorded counts once.

    Attributes:
        largest: by kind, the largest first; of equal ones the earlier first.
    """

    def __init__(self) -> None:
        self.largest: dict[str, list[Trade]] = {kind: [] for kind in KINDS}

    def add(self, row: StoredRow) -> None:
        """Take the row of a trade, in order of time."""
        amount = row.amount
        kept = self.largest.get(row.action or "")
        if kept is None or amount is None or not isfinite(amount) or amount <= 0:
            return
        if len(kept) == KEPT and amount <= kept[-1].amount:
            return
        name = row.username or row.player_id or "somebody"
        trade_id = row.extras.get("trade_id")
        known = trade_id if isinstance(trade_id, str) else f"{name} {row.tick} {amount}"
        if all(trade.trade_id != known for trade in kept):
            kept.append(Trade(amount, name, row.tick, row.price, row.ts, known))
            kept.sort(key=lambda trade: (-trade.amount, trade.ts, trade.trade_id))
            del kept[KEPT:]
