"""What players of the plan do to a made-up game: trades, settled bets, and how a leaderboard shows them."""

from __future__ import annotations

from typing import Any

from rugs_sim.made_up.chance import Chance
from rugs_sim.made_up.game import Game, Player, Position, pay_out
from tests.retrieval import own_payloads, payloads
from tests.retrieval.plan_types import Trade
from tests.retrieval.scene import Scene


def scripted(game: Game, each: Trade, player: Player, chance: Chance) -> dict[str, Any]:
    """Let a player of the plan trade; return the trade as the feed sends it."""
    price = game.prices[-1]
    position = game.positions.setdefault(player.id, Position(player))
    game.trades += 1
    if each.kind == "sell":
        quantity = position.quantity
        amount = round(quantity * price, 9)
        position.pnl = round(position.pnl + amount - quantity * position.cost, 9)
        position.quantity, position.cost = 0, 0
    else:
        amount, quantity = each.amount, round(each.amount / price, 9)
        spent = position.quantity * position.cost + amount
        position.quantity = round(position.quantity + quantity, 9)
        position.cost = round(spent / position.quantity, 9)
        position.invested = round(position.invested + amount, 9)
    bonus = amount if each.kind == "bonus_buy" else 0
    return {
        "id": chance.uuid(),
        "gameId": game.id,
        "playerId": player.id,
        "type": each.kind.removeprefix("bonus_"),
        "price": price,
        "tickIndex": len(game.prices) - 1,
        "coin": "solana",
        "amount": amount,
        "qty": quantity,
        "leverage": 1,
        "bonusPortion": bonus,
        "realPortion": round(amount - bonus, 9),
        "username": player.username,
        "level": player.level,
    }


def settle(game: Game, chance: Chance, now: int) -> None:
    """Settle the side bets of a game that has rugged: the winners are paid, the losers get a record, too."""
    last = len(game.prices) - 1
    placed = list(game.side_bets)
    pay_out(game, chance, now)
    for bet in placed:
        if bet["end"] < last:
            game.side_bets.append(_lost_bet(bet, chance, now))


def _lost_bet(bet: dict[str, Any], chance: Chance, now: int) -> dict[str, Any]:
    kept = {key: bet[key] for key in ("playerId", "username", "gameId", "betAmount", "xPayout", "coinAddress")}
    ends = {"startTick": bet["startedAtTick"], "endTick": bet["end"], "tickIndex": bet["startedAtTick"]}
    result = {"payout": 0, "profit": -bet["betAmount"], "timestamp": now + 5, "type": "payout", "id": chance.uuid()}
    return {**kept, **ends, **result}


def decorated(board: list[dict[str, Any]], scene: Scene) -> list[dict[str, Any]]:
    """Return a leaderboard whose last player bets, sells short and plays with practice tokens."""
    more = {
        "sideBet": own_payloads.side_bet(scene),
        "sidebetActive": True,
        "shortPosition": own_payloads.short_position(scene),
        "selectedCoin": payloads.PRACTICE,
    }
    return [*board[:-1], {**board[-1], **more}]
