"""A game that plays itself: prices, trades, side bets, and the seed that was fixed before."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from rugs_sim.made_up.chance import Chance

RUG_PROBABILITY: Final = 0.004
SIDE_BET_TICKS: Final = 40
COIN: Final = "Coin" + "1" * 39
BOARD_SIZE: Final = 10
_STAKES: Final = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25)


@dataclass
class Player:
    """Somebody who plays."""

    id: str
    username: str | None
    level: int


@dataclass
class Position:
    """What a player has made of a game so far; amounts in SOL."""

    player: Player
    quantity: float = 0
    cost: float = 0
    invested: float = 0
    pnl: float = 0
    side_pnl: float = 0

    def entry(self, place: int) -> dict[str, Any]:
        """Return it as an entry of the leaderboard."""
        pnl = round(self.pnl + self.side_pnl, 9)
        return {
            "id": self.player.id,
            "username": self.player.username,
            "level": self.player.level,
            "pnl": pnl,
            "regularPnl": self.pnl,
            "sidebetPnl": self.side_pnl,
            "shortPnl": 0,
            "sidebetActive": None,
            "sideBet": None,
            "shortPosition": None,
            "pnlPercent": pnl / self.invested * 100 if self.invested else 0,
            "hasActiveTrades": True,
            "positionQty": self.quantity,
            "avgCost": self.cost,
            "totalInvested": self.invested,
            "selectedCoin": None,
            "position": place,
        }


@dataclass
class Game:
    """One game, as it is at a moment. Times are milliseconds since the Unix epoch."""

    id: str
    seed: str
    prices: list[float] = field(default_factory=lambda: [1])
    rugged: bool = False
    trades: int = 0
    side_bets: list[dict[str, Any]] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)
    ended: int = 0

    @property
    def seed_hash(self) -> str:
        """What players are told before the game."""
        return sha256(self.seed.encode()).hexdigest()

    def leaders(self) -> list[Position]:
        """Return the best positions."""
        return sorted(self.positions.values(), key=lambda position: -(position.pnl + position.side_pnl))[:BOARD_SIZE]

    def board(self) -> list[dict[str, Any]]:
        """Return the leaderboard."""
        return [position.entry(place) for place, position in enumerate(self.leaders(), 1)]

    def record(self, *, prices: bool = True) -> dict[str, Any]:
        """Return it as an entry of the history that full frames carry."""
        return {
            "id": self.id,
            "timestamp": self.ended,
            **({"prices": self.prices} if prices else {}),
            "peakMultiplier": max(self.prices),
            "rugged": True,
            "globalTrades": [],
            "globalSidebets": self.side_bets,
            "provablyFair": {"serverSeed": self.seed, "serverSeedHash": self.seed_hash},
            "gameVersion": "v3",
        }


def step(game: Game, chance: Chance, players: list[Player], now: int) -> None:
    """Play one tick."""
    for _ in range(chance.whole(0, 3)):
        trade(game, chance, chance.one(players))
    for _ in range(chance.whole(1, 4)):
        _mark(game, chance)
    price = game.prices[-1]
    if chance.happens(RUG_PROBABILITY):
        game.rugged, game.ended = True, now
        game.prices.append(chance.between(0.002, 0.02) if chance.happens(0.9) else 0.020000000000000018)
        pay_out(game, chance, now)
        return
    change = chance.between(-0.02, 0.023)
    if chance.happens(0.1):
        change = chance.between(0.1, 0.25) * (1 if chance.happens(0.5) else -1)
    game.prices.append(price * (1 + change))
    if chance.happens(0.3):
        game.side_bets.append(_side_bet(game, chance, chance.one(players[:60]), now))


def _mark(game: Game, chance: Chance) -> None:
    """Value one of the leaders' positions at the price of now."""
    leaders = game.leaders()
    if leaders:
        position = chance.one(leaders)
        gain = position.quantity * (game.prices[-1] - position.cost)
        position.pnl = round(position.pnl + gain * chance.between(-0.1, 0.1), 9)


def trade(game: Game, chance: Chance, player: Player) -> dict[str, Any] | None:
    """Let a player buy or sell; return the trade as the feed tells it, if there is one."""
    price = game.prices[-1]
    position = game.positions.setdefault(player.id, Position(player))
    game.trades += 1
    if position.quantity and chance.happens(0.75):
        kind, quantity = "sell", position.quantity
        amount = round(quantity * price, 9)
        position.pnl = round(position.pnl + amount - quantity * position.cost, 9)
        position.quantity, position.cost = 0, 0
    else:
        kind, amount = "buy", chance.one(_STAKES) if chance.happens(0.8) else chance.money(0.01, 2)
        quantity = round(amount / price, 9)
        spent = position.quantity * position.cost + amount
        position.quantity = round(position.quantity + quantity, 9)
        position.cost = round(spent / position.quantity, 9)
        position.invested = round(position.invested + amount, 9)
    return {
        "id": chance.uuid(),
        "gameId": game.id,
        "playerId": player.id,
        "type": kind,
        "price": price,
        "tickIndex": len(game.prices) - 1,
        "coin": "solana",
        "amount": amount,
        "qty": quantity,
        "bonusPortion": 0,
        "realPortion": amount,
        "username": player.username,
        "level": player.level,
    }


def _side_bet(game: Game, chance: Chance, player: Player, now: int) -> dict[str, Any]:
    tick, stake = len(game.prices) - 1, chance.one(_STAKES)
    return {
        "playerId": player.id,
        "username": player.username,
        "gameId": game.id,
        "betAmount": stake,
        "xPayout": 5,
        "coinAddress": COIN,
        "bonusPortion": 0,
        "realPortion": stake,
        "timestamp": now - chance.whole(0, 249),
        "type": "placed",
        "startedAtTick": tick,
        "end": tick + SIDE_BET_TICKS,
        "id": chance.uuid(),
    }


def pay_out(game: Game, chance: Chance, now: int) -> None:
    """Pay the side bets that the game's end has won."""
    last = len(game.prices) - 1
    for bet in [bet for bet in game.side_bets if bet["startedAtTick"] <= last <= bet["end"]]:
        stake = bet["betAmount"]
        if bet["playerId"] in game.positions:
            position = game.positions[bet["playerId"]]
            position.side_pnl = round(position.side_pnl + stake * 4, 9)
        game.side_bets.append(
            {
                "playerId": bet["playerId"],
                "gameId": game.id,
                "username": bet["username"],
                "level": chance.whole(1, 80),
                "betAmount": stake,
                "payout": stake * 5,
                "profit": stake * 4,
                "xPayout": 5,
                "coinAddress": COIN,
                "endTick": bet["end"],
                "startTick": bet["startedAtTick"],
                "tickIndex": last,
                "price": game.prices[-1],
                "timestamp": now + chance.whole(1, 90),
                "type": "payout",
                "id": chance.uuid(),
            }
        )
