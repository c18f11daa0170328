"""What an event says in a few typed fields: whose it is, of which game, and its stable numbers.

One table, `RULES`, names for each event where a value lies in its payload, what it is called
here and of which kind it must be. A value that is not there, or is of another kind, is left
out: nothing is ever filled in. What the table does not name still stands in the raw frame.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, Final, NamedTuple

from rugs_proto.envelope import MAX_NAME

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class Extract(NamedTuple):
    """What one event says. `fields` holds only what the event says itself."""

    game_id: str | None
    player_id: str | None
    username: str | None
    fields: dict[str, Any]


def _number(value: object) -> int | float | None:
    """Keep a finite number as it was sent: 1 stays an int and 1.0 a float."""
    if type(value) is float:
        return value if isfinite(value) else None
    return value if type(value) is int and _INT64_MIN <= value <= _INT64_MAX else None


def _whole(value: object) -> int | None:
    """Keep a whole number; the feed says `5` and `5.0` for the same count."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and _INT64_MIN <= value <= _INT64_MAX else None


def _flag(value: object) -> bool | None:
    return value if type(value) is bool else None


def _text(value: object) -> str | None:
    """Keep text that an envelope can carry; a JSON string may hold half a surrogate pair."""
    if type(value) is not str or len(value) > MAX_NAME:
        return None
    return value if value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value) else None


class Rule(NamedTuple):
    """One value: its path in the payload, its name here, and what kind it must be."""

    path: tuple[str, ...]
    target: str
    keep: Callable[[object], Any]


def _rule(path: str, target: str, keep: Callable[[object], Any]) -> Rule:
    return Rule(tuple(path.split(".")), target, keep)


_GAME = _rule("gameId", "game_id", _text)
_PLAYER = _rule("playerId", "player_id", _text)
_USER = _rule("username", "username", _text)

DEFAULT_RULES: Final = (_GAME, _PLAYER, _USER)
"""For events that the table does not name."""

RULES: Final[dict[str, tuple[Rule, ...]]] = {
    "gameStateUpdate": (
        _GAME,
        _rule("price", "price", _number),
        _rule("tickCount", "tick", _whole),
        _rule("active", "active", _flag),
        _rule("rugged", "rugged", _flag),
        _rule("cooldownTimer", "cooldown_timer", _whole),
        _rule("tradeCount", "trade_count", _whole),
    ),
    "standard/newTrade": (
        *DEFAULT_RULES,
        _rule("price", "price", _number),
        _rule("tickIndex", "tick", _whole),
        _rule("type", "action", _text),
        _rule("amount", "amount", _number),
        _rule("qty", "qty", _number),
    ),
    "playerUpdate": (
        _rule("id", "player_id", _text),
        _rule("cash", "cash", _number),
        _rule("positionQty", "position_qty", _number),
        _rule("avgCost", "avg_cost", _number),
        _rule("totalInvested", "total_invested", _number),
        _rule("cumulativePnL", "cumulative_pnl", _number),
    ),
    "gameStatePlayerUpdate": (
        _GAME,
        _rule("leaderboardEntry.id", "player_id", _text),
        _rule("leaderboardEntry.username", "username", _text),
        _rule("leaderboardEntry.positionQty", "position_qty", _number),
        _rule("leaderboardEntry.avgCost", "avg_cost", _number),
        _rule("leaderboardEntry.totalInvested", "total_invested", _number),
    ),
    "usernameStatus": (_rule("id", "player_id", _text), _USER),
    "playerLeaderboardPosition": (
        _rule("playerEntry.playerId", "player_id", _text),
        _rule("playerEntry.username", "username", _text),
    ),
}

PAYLOAD_KEYS: Final = tuple(sorted({rule.path[0] for rules in (*RULES.values(), DEFAULT_RULES) for rule in rules}))
"""Top-level payload keys that any rule looks at: a decoder may skip all others."""


def payload_of(data: object) -> object:
    """Return an event's payload: the last argument where there are several.

    Traced events travel as `[{"__trace": true, ...}, payload]`.
    """
    if isinstance(data, list):
        return data[-1] if data else None
    return data


def extract(event: str, data: object) -> Extract:
    """Return what an event says, from its name and its argument, or list of arguments.

    Never fails: a payload of an unknown shape gives an empty extract.
    """
    payload = payload_of(data)
    if not isinstance(payload, dict):
        return Extract(None, None, None, {})
    found: dict[str, Any] = {}
    for (key, *deeper), target, keep in RULES.get(event, DEFAULT_RULES):
        value = payload.get(key)
        for step in deeper:
            value = value.get(step) if isinstance(value, dict) else None
        if value is not None and (value := keep(value)) is not None:
            found[target] = value
    return Extract(found.pop("game_id", None), found.pop("player_id", None), found.pop("username", None), found)
