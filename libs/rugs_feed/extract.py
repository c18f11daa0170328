"""What an event says in a few typed fields: whose it is, of which game, and its stable numbers.

One table, `RULES`, names for each event where a value lies in its payload, what it is called
here and of which kind it must be. A value that is not there, or is of another kind, is left
out: nothing is ever filled in. What the table does not name still stands in the raw frame.

The one value that is read and not copied is a game state's phase, beside the flags that it was
read from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from rugs_feed.kinds import flag, number, text, whole
from rugs_feed.phases import phase_of
from rugs_proto.arguments import payload_of


class Extract(NamedTuple):
    """What one event says. `fields` holds only what the event says itself."""

    game_id: str | None
    player_id: str | None
    username: str | None
    fields: dict[str, Any]


class Rule(NamedTuple):
    """One value: its path in the payload, its name here, and what kind it must be."""

    path: tuple[str, ...]
    target: str
    keep: Callable[[object], Any]

    def read(self, payload: dict[str, Any]) -> Any:
        """Return the value, or None where there is none of that kind."""
        (key, *deeper) = self.path
        value = payload.get(key)
        for step in deeper:
            value = value.get(step) if isinstance(value, dict) else None
        return None if value is None else self.keep(value)


def _rule(path: str, target: str, keep: Callable[[object], Any]) -> Rule:
    return Rule(tuple(path.split(".")), target, keep)


_GAME = _rule("gameId", "game_id", text)
_PLAYER = _rule("playerId", "player_id", text)
_USER = _rule("username", "username", text)

DEFAULT_RULES: Final = (_GAME, _PLAYER, _USER)
"""For events that the table does not name."""

RULES: Final[dict[str, tuple[Rule, ...]]] = {
    "gameStateUpdate": (
        _GAME,
        _rule("price", "price", number),
        _rule("tickCount", "tick", whole),
        _rule("active", "active", flag),
        _rule("rugged", "rugged", flag),
        _rule("cooldownTimer", "cooldown_timer", whole),
        _rule("allowPreRoundBuys", "allow_pre_round_buys", flag),
        _rule("tradeCount", "trade_count", whole),
    ),
    "standard/newTrade": (
        *DEFAULT_RULES,
        _rule("price", "price", number),
        _rule("tickIndex", "tick", whole),
        _rule("type", "action", text),
        _rule("amount", "amount", number),
        _rule("qty", "qty", number),
        _rule("coin", "coin", text),
        _rule("leverage", "leverage", number),
        _rule("bonusPortion", "bonus_portion", number),
        _rule("realPortion", "real_portion", number),
        _rule("id", "trade_id", text),
    ),
    "playerUpdate": (
        _rule("id", "player_id", text),
        _rule("cash", "cash", number),
        _rule("positionQty", "position_qty", number),
        _rule("avgCost", "avg_cost", number),
        _rule("totalInvested", "total_invested", number),
        _rule("cumulativePnL", "cumulative_pnl", number),
        _rule("sidebetPnl", "sidebet_pnl", number),
        _rule("bonusBalance", "bonus_balance", number),
    ),
    "gameStatePlayerUpdate": (
        _GAME,
        _rule("leaderboardEntry.id", "player_id", text),
        _rule("leaderboardEntry.username", "username", text),
        _rule("leaderboardEntry.positionQty", "position_qty", number),
        _rule("leaderboardEntry.avgCost", "avg_cost", number),
        _rule("leaderboardEntry.totalInvested", "total_invested", number),
        _rule("leaderboardEntry.pnl", "pnl", number),
        _rule("leaderboardEntry.sidebetPnl", "sidebet_pnl", number),
        _rule("rugpool.rugpoolAmount", "rugpool_amount", number),
        _rule("rugpool.instarugCount", "instarug_count", whole),
    ),
    "usernameStatus": (_rule("id", "player_id", text), _USER),
    "playerLeaderboardPosition": (
        _rule("playerEntry.playerId", "player_id", text),
        _rule("playerEntry.username", "username", text),
    ),
    "disconnect": (_rule("reason", "reason", text),),
    "connect_error": (_rule("message", "reason", text), _rule("error", "reason", text)),
    "ack": (
        *DEFAULT_RULES,
        _rule("success", "success", flag),
        _rule("executedPrice", "price", number),
    ),
}

TRADE: Final = "trade."
"""What the names of an application's trades begin with: `trade.buy`, `trade.sell`, `trade.sidebet`."""
TRADE_RULES: Final = (*DEFAULT_RULES, _rule("price", "price", number), _rule("amount", "amount", number))

_ALL_RULES: Final = (*RULES.values(), DEFAULT_RULES, TRADE_RULES)
PAYLOAD_KEYS: Final = tuple(sorted({rule.path[0] for rules in _ALL_RULES for rule in rules}))
"""Top-level payload keys that any rule looks at: a decoder may skip all others."""
TARGETS: Final = frozenset({rule.target for rules in _ALL_RULES for rule in rules} | {"action", "phase"})
"""Every key of `Extract.fields`, and the envelope's own keys."""


def extract(event: str, data: object) -> Extract:
    """Return what an event says, from its name and its argument, or list of arguments.

    Never fails: a payload of an unknown shape gives an empty extract.
    """
    payload = payload_of(data)
    if not isinstance(payload, dict):
        return Extract(None, None, None, {})
    found: dict[str, Any] = {}
    is_trade = event.startswith(TRADE)
    for rule in TRADE_RULES if is_trade else RULES.get(event, DEFAULT_RULES):
        if (value := rule.read(payload)) is not None:
            found[rule.target] = value
    if is_trade:
        found["action"] = event.removeprefix(TRADE)
    if event == "gameStateUpdate" and (phase := _phase(found)) is not None:
        found["phase"] = phase
    return Extract(found.pop("game_id", None), found.pop("player_id", None), found.pop("username", None), found)


def _phase(found: dict[str, Any]) -> str | None:
    active, rugged = found.get("active"), found.get("rugged")
    return phase_of(active=active, rugged=rugged, cooldown_timer=found.get("cooldown_timer"), tick=found.get("tick"))
