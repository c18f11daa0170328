"""The payloads of game states: five sets of keys, as the feed sends them."""

from __future__ import annotations

from typing import Any, Final

from rugs_sim.made_up.game import Game

COOLDOWN_MS: Final = 15_000
PRESALE_MS: Final = 10_000
_CALM: Final = {"cooldownPaused": False, "pauseMessage": ""}


def averages(history: list[Game]) -> dict[str, Any]:
    """Return how the last games went."""
    peaks = [max(game.prices) for game in history]
    counts = {f"count{limit}x": sum(peak >= limit for peak in peaks) * 4 for limit in (2, 10, 50, 100)}
    return {"averageMultiplier": sum(peaks) / len(peaks), **counts}


def _fair(game: Game) -> dict[str, Any]:
    return {"serverSeedHash": game.seed_hash, "version": "v3"}


def _partial_prices(game: Game) -> dict[str, Any]:
    last = len(game.prices) - 1
    first = max(0, last - 4)
    values = {str(tick): game.prices[tick] for tick in range(first, last + 1)}
    return {"startTick": first, "endTick": last, "values": values}


def _prize_chest(key: str) -> dict[str, Any]:
    return {key: None, f"{key}Timestamp": None, f"{key}Prices": [], f"{key}MassiveJump": None}


def playing(game: Game, history: list[Game], connected: int, rugpool: float, cooldown: int = 0) -> dict[str, Any]:
    """Return the 21 keys of a tick, and of the moment when bets on the next game begin."""
    return {
        "active": cooldown == 0,
        "price": game.prices[-1],
        "partialPrices": _partial_prices(game),
        "tradeCount": game.trades,
        "rugged": game.rugged,
        "tickCount": len(game.prices) - 1,
        "cooldownTimer": cooldown,
        **_CALM,
        "allowPreRoundBuys": cooldown > 0,
        **averages(history),
        "leaderboard": game.board(),
        "gameId": game.id,
        "connectedPlayers": connected,
        "rugpool": {"instarugCount": 3, "threshold": 10, "rugpoolAmount": rugpool},
        "rugRoyale": {
            "status": "INACTIVE",
            "activeEventId": None,
            "currentEvent": None,
            "upcomingEvents": [],
            "events": [],
        },
        "provablyFair": _fair(game),
    }


def waiting(game: Game, board: list[dict[str, Any]], connected: int, cooldown: int) -> dict[str, Any]:
    """Return the 7 keys of a cooldown: no price, no tick, no flags."""
    return {
        "gameId": game.id,
        "cooldownTimer": cooldown,
        "cooldownPaused": False,
        "allowPreRoundBuys": cooldown <= PRESALE_MS,
        "leaderboard": board,
        "connectedPlayers": connected,
        "provablyFair": _fair(game),
    }


def beginning(game: Game, connected: int) -> dict[str, Any]:
    """Return the 14 keys of a game's first moment."""
    return {
        "active": True,
        "price": 1,
        "rugged": False,
        "tickCount": 0,
        "cooldownTimer": 0,
        **_CALM,
        "allowPreRoundBuys": False,
        "leaderboard": game.board(),
        "gameId": game.id,
        "connectedPlayers": connected,
        "gameVersion": "v3",
        "partialPrices": _partial_prices(game),
        "provablyFair": _fair(game),
    }


def full(
    game: Game,
    history: list[Game],
    best: Game,
    connected: int,
    *,
    cooldown: int = 0,
    late_ticks: int = 0,
    board: list[dict[str, Any]] | None = None,
    connecting: bool = False,
    history_prices: bool = True,
) -> dict[str, Any]:
    """Return the 36 keys sent on connecting and around a rug: the last ten games with every price.

    On connecting, `prices` of the game so far stand where `partialPrices` stand later.
    """
    return {
        "gameHistory": [past.record(prices=history_prices) for past in history],
        **averages(history),
        "highestToday": max(best.prices),
        "highestTodayTimestamp": best.ended,
        "highestTodayPrices": best.prices,
        **_prize_chest("godCandle2x"),
        **_prize_chest("godCandle10x"),
        **_prize_chest("godCandle50x"),
        "availableShitcoins": [
            {"address": "0xPractice", "ticker": "FREE", "name": "Practice", "max_bet": 10000, "max_win": 100000}
        ],
        "active": cooldown == 0,
        "price": game.prices[-1],
        "rugged": game.rugged,
        "tickCount": len(game.prices) - 1 + late_ticks,
        "cooldownTimer": cooldown,
        **_CALM,
        "allowPreRoundBuys": 0 < cooldown <= PRESALE_MS,
        "leaderboard": game.board() if board is None else board,
        "gameId": game.id,
        "connectedPlayers": connected,
        "gameVersion": "v3",
        **({"prices": [*game.prices]} if connecting else {"partialPrices": _partial_prices(game)}),
        "provablyFair": _fair(game),
    }
