"""Records as the old recorders wrote them: what a live event would have been in their files.

Their readers see no difference: same keys in the same order, the same defaults for what a game
state does not say, numbers as they were received (`1` stays an int, `1.0` a float), Python's JSON,
local times without a zone. The generator, export and whoever writes old formats share them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import tzinfo
from typing import Any, Final

from rugs_core.time import from_us

Record = dict[str, Any]

_PRESALE_FROM: Final = 10_000
"""Milliseconds of the cooldown timer; above, the old recorder knew no phase."""
_IN_PLAY: Final = ("GAME_ACTIVATION", "ACTIVE_GAMEPLAY")
_FILLED_IN: Final[tuple[tuple[str, str, Any], ...]] = (
    ("tick", "tickCount", 0),
    ("price", "price", 1.0),
    ("phase", "", None),
    ("active", "active", False),
    ("rugged", "rugged", False),
    ("cooldown_timer", "cooldownTimer", 0),
    ("trade_count", "tradeCount", 0),
)
"""A tick's keys in their order, where a game state says them, and what was written where it does not."""


def line(record: Record) -> bytes:
    """Return a record as the recorders wrote it, without its newline."""
    return json.dumps(record).encode()


def local_time(at: int, zone: tzinfo) -> str:
    """Return microseconds since the epoch as a recorder in that zone wrote them: no offset, no zeros behind seconds."""
    return from_us(at).astimezone(zone).replace(tzinfo=None).isoformat()


def game_start(at: str, game_id: str) -> Record:
    """Return the first record of a game (F1)."""
    return {"type": "game_start", "timestamp": at, "game_id": game_id}


def tick(at: str, game_id: str, state: Mapping[str, Any], before: str | None = None) -> Record:
    """Return what the recorder made of a game state (F1); what the state does not say it filled in.

    `before` is the phase of the game's tick before this one, if there was any.
    """
    record: Record = {"type": "tick", "timestamp": at, "game_id": game_id}
    for name, key, default in _FILLED_IN:
        record[name] = old_phase(state, before) if name == "phase" else state.get(key, default)
    return record


def old_phase(state: Mapping[str, Any], before: str | None = None) -> str:
    """Return the phase by the recorder's own rules, mistakes included.

    A cooldown is UNKNOWN, and a rug is in the phase that was `before`: at tick 1 that is GAME_ACTIVATION.
    """
    timer = state.get("cooldownTimer")
    if isinstance(timer, int | float) and timer > 0:
        return "UNKNOWN" if timer > _PRESALE_FROM else "PRESALE"
    if state.get("rugged"):
        if "tradeCount" not in state:
            return "RUG_EVENT_1"
        if before in _IN_PLAY:
            return before
    return "ACTIVE_GAMEPLAY" if state.get("tickCount") else "GAME_ACTIVATION"


class Summary:
    """What the last record of a game says of its ticks."""

    def __init__(self) -> None:
        self._ticks = 0
        self._first: Any = None
        self._last: Any = None
        self._lowest: Any = None
        self._highest: Any = None
        self._final: Any = None

    def add(self, record: Record) -> None:
        """Take a tick's record; those of a cooldown count as well, with what was filled in there."""
        self._ticks += 1
        number, price = record["tick"], record["price"]
        if not (_is_number(number) and _is_number(price)):
            return
        self._first = number if self._first is None else min(self._first, number)
        self._last = number if self._last is None else max(self._last, number)
        self._lowest = price if self._lowest is None else min(self._lowest, price)
        self._highest = price if self._highest is None else max(self._highest, price)
        self._final = price

    def game_end(self, at: str, game_id: str) -> Record:
        """Return the last record of a game (F1)."""
        return {
            "type": "game_end",
            "timestamp": at,
            "game_id": game_id,
            "total_ticks": self._ticks,
            "tick_range": [self._first, self._last],
            "price_range": [self._lowest, self._highest],
            "peak_price": self._highest,
            "final_price": self._final,
        }


def capture(seq: int, at: str, event: str, data: object) -> Record:
    """Return a record of a raw capture (F9); `data` is what `data_of` makes of the arguments."""
    return {"seq": seq, "ts": at, "event": event, "data": data}


def data_of(arguments: list[Any]) -> Any:
    """Return an event's one argument, or the list of all, or None where there is none."""
    if len(arguments) == 1:
        return arguments[0]
    return arguments or None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
