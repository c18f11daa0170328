"""The side bets on a game, as the feed's history has them."""

from __future__ import annotations

from typing import Any, NamedTuple

from rugs_feed.kinds import number, whole


class SideBet(NamedTuple):
    """One side bet; amounts in SOL. `won` is None while nobody knows."""

    amount: float
    player: str
    start: int | None
    won: bool | None


class SideBets(NamedTuple):
    """The side bets on a game.

    Attributes:
        placed: how many there were.
        settled, won: of how many the result is known, and how many won.
        largest: the one with the highest stake; None where no stake is known.
    """

    placed: int
    settled: int
    won: int
    largest: SideBet | None


def side_bets(entries: object) -> SideBets | None:
    """Return what entries of `globalSidebets` say; None where they say nothing.

    The feed has a bet up to twice: when it was placed, and with its result.
    """
    if not isinstance(entries, list):
        return None
    found: dict[tuple[str, Any], SideBet] = {}
    for entry in entries:
        if isinstance(entry, dict):
            key, bet = _read(entry)
            known = found.get(key)
            if known is None or known.won is None:
                found[key] = bet
    if not found:
        return None
    bets = [*found.values()]
    settled = [bet for bet in bets if bet.won is not None]
    largest = min(bets, key=lambda bet: (-bet.amount, bet.start or 0, bet.player))
    return SideBets(len(bets), len(settled), sum(bet.won is True for bet in bets), largest if largest.amount else None)


def _read(entry: dict[str, Any]) -> tuple[tuple[str, Any], SideBet]:
    start = whole(entry.get("startedAtTick", entry.get("startTick")))
    amount, payout = number(entry.get("betAmount")), number(entry.get("payout"))
    who, name = entry.get("playerId"), entry.get("username")
    player = name if isinstance(name, str) and name else who if isinstance(who, str) and who else "somebody"
    key = who if isinstance(who, str) else player
    won = None if payout is None else payout > 0
    return (key, start), SideBet(amount if amount is not None and amount > 0 else 0, player, start, won)
