"""One client of the made-up feed: nobody until it authenticates, then a player with a purse of its own.

What a player does changes nothing for anybody else: the games stay those of the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from rugs_feed.phases import allows_pre_round_buys
from rugs_proto.arguments import is_trace, payload_of
from rugs_sim.made_up.chance import Chance
from rugs_sim.made_up.feed import Feed
from rugs_sim.made_up.game import SIDE_BET_TICKS, Position
from rugs_sim.made_up.game import Player as Person
from rugs_sim.show import Answer, Message, encode
from rugs_sim.side_events import Event, SideEvents

_CASH: Final = 5.0
Told = tuple[str, Any]
"""An event's name and its payload."""


class Player:
    """See `rugs_sim.show.Seat`."""

    def __init__(self, feed: Feed, side: SideEvents, seed: int) -> None:
        self._feed = feed
        self._side = side
        self._chance = Chance(seed)
        self._person = Person(self._chance.player_id(), self._chance.name(), self._chance.whole(1, 60))
        self._authenticated = False
        self._cash = _CASH
        self._won = 0.0
        self._game_id = ""
        self._position = Position(self._person)

    def welcome(self) -> tuple[Message, ...]:
        """The whole state of the game, with the history, and what else goes on."""
        told = self._feed.connecting()
        return _encoded([(told.event, told.arguments), *self._side.on_connecting(self._chance)])

    def ask(self, event: str, arguments: tuple[Any, ...]) -> Answer:
        """Take a request; an unknown one gets an empty acknowledgement."""
        payload = payload_of(arguments)
        asked = payload if isinstance(payload, dict) and not is_trace(payload) else {}
        self._new_game()
        if event in _ORDERS:
            reply = {**_ORDERS[event](self, asked), "timestamp": self._feed.at // 1000}
            return Answer((reply,), _encoded(self._after_order()) if reply["success"] else ())
        if event == "authenticate":
            self._authenticated = True
            return Answer((), _encoded(self._identity()))
        if event in _QUESTIONS:
            name, told = _QUESTIONS[event](self)
            return Answer((told,), _encoded([(name, [self._chance.trace(), told])]))
        return Answer()

    def beside_state(self) -> tuple[Message, ...]:
        """An authenticated player's own view of the game."""
        if not self._authenticated:
            return ()
        self._new_game()
        told = self._feed.rugpool_of(self._feed.game.id)
        if self._position.invested:
            told["leaderboardEntry"] = self._position.entry(1)
        return encode("gameStatePlayerUpdate", told)

    def _identity(self) -> Iterator[Event]:
        yield "playerUpdate", [self._purse()]
        yield "usernameStatus", [self._chance.trace(), self._name()[1]]
        yield "mutedPlayers", [self._chance.trace(), []]

    def _after_order(self) -> Iterator[Event]:
        yield "playerUpdate", [self._purse()]

    def _purse(self) -> dict[str, Any]:
        position = self._position
        return {
            "id": self._person.id,
            "role": None,
            "cash": round(self._cash, 9),
            "bonusBalance": 0,
            "bonusWagerReq": 0,
            "bonusWagered": 0,
            "positionQty": position.quantity,
            "avgCost": position.cost,
            "cumulativePnL": round(self._won, 9),
            "sidebetPnl": 0,
            "pnlPercent": position.pnl / position.invested * 100 if position.invested else 0,
            "totalInvested": position.invested,
            "hasInteracted": bool(position.invested),
            "selectedCoin": None,
            "levelInfo": {"level": self._person.level, "xp": 549, "xpForNextLevel": 1500, "totalXP": 4049},
            "crateKeys": {"gold": 0, "diamond": 0, "coal": 0, "iron": 0, "tier0": 1},
            "recentCrateRewards": [],
            "shitcoinBalances": {"0xPractice": 100},
            "authenticated": True,
            "hitMaxWin": False,
            "xpBoost": {"active": False, "activeUntil": 0, "available": 0},
            "sideBet": None,
            "sidebets": [],
            "shortPosition": None,
            "leveragedPositions": [],
            "autobuysEnabled": False,
            "autosellPrice": None,
        }

    def _new_game(self) -> None:
        """A position ends with its game."""
        if self._game_id != self._feed.game.id:
            self._game_id, self._position = self._feed.game.id, Position(self._person)

    def _buy(self, asked: dict[str, Any]) -> dict[str, Any]:
        amount, game = asked.get("amount"), self._feed.game
        if not self._open:
            return _refused("the game is not open")
        if not isinstance(amount, int | float) or not 0 < amount <= self._cash:
            return _refused("no such amount")
        price, position = game.prices[-1], self._position
        spent = position.quantity * position.cost + amount
        position.quantity = round(position.quantity + amount / price, 9)
        position.cost = round(spent / position.quantity, 9) if position.quantity else 0
        position.invested = round(position.invested + amount, 9)
        self._cash -= amount
        return {"success": True, "executedPrice": price}

    def _sell(self, asked: dict[str, Any]) -> dict[str, Any]:
        price, position = self._feed.game.prices[-1], self._position
        if not self._open or not position.quantity:
            return _refused("nothing to sell")
        amount = position.quantity * price
        gain = amount - position.quantity * position.cost
        position.pnl, position.quantity, position.cost = round(position.pnl + gain, 9), 0, 0
        self._cash += amount
        self._won += gain
        return {"success": True, "executedPrice": price}

    def _side_bet(self, asked: dict[str, Any]) -> dict[str, Any]:
        amount = asked.get("betAmount", asked.get("amount"))
        if not self._open or not isinstance(amount, int | float) or not 0 < amount <= self._cash:
            return _refused("no such bet")
        self._cash -= amount
        tick = len(self._feed.game.prices) - 1
        return {"success": True, "startedAtTick": tick, "end": tick + SIDE_BET_TICKS, "betAmount": amount}

    @property
    def _open(self) -> bool:
        """Whether orders are taken: while the game is on, and a while before."""
        countdown = self._feed.countdown
        return not self._feed.game.rugged and (countdown == 0 or allows_pre_round_buys(countdown))

    def _name(self) -> Told:
        return "usernameStatus", {"id": self._person.id, "hasUsername": True, "username": self._person.username}

    def _chats(self) -> Told:
        return "chatHistory", [self._said() for _ in range(5)]

    def _said(self) -> dict[str, Any]:
        player = self._chance.one(self._feed.players)
        told = {"playerId": player.id, "username": player.username, "level": player.level}
        return {**told, "message": self._chance.sentence(), "timestamp": self._feed.at // 1000}

    def _leaders(self) -> Told:
        ranked = [
            {"playerId": player.id, "username": player.username, "pnl": 9.5 - place}
            for place, player in enumerate(self._feed.players[:10])
        ]
        return "leaderboardData", {"success": True, "period": "7d", "entries": ranked, "total": len(ranked)}

    def _place(self) -> Told:
        entry = {"playerId": self._person.id, "username": self._person.username, "pnl": round(self._won, 9)}
        told = {"success": True, "period": "7d", "sortDirection": "highest", "playerFound": True, "rank": 4_321}
        return "playerLeaderboardPosition", {**told, "total": 9_876, "playerEntry": entry, "surroundingEntries": []}

    def _looks(self) -> Told:
        return "playerCosmetics", {"playerId": self._person.id, "cosmetics": []}


def _encoded(events: Iterator[Event] | list[Event]) -> tuple[Message, ...]:
    return tuple(message for event, arguments in events for message in encode(event, *arguments))


def _refused(why: str) -> dict[str, Any]:
    return {"success": False, "error": why}


_ORDERS: Final[dict[str, Callable[[Player, dict[str, Any]], dict[str, Any]]]] = {
    "buyOrder": Player._buy,
    "sellOrder": Player._sell,
    "requestSidebet": Player._side_bet,
    "sidebet": Player._side_bet,
}
_QUESTIONS: Final[dict[str, Callable[[Player], Told]]] = {
    "checkUsername": Player._name,
    "chatHistory": Player._chats,
    "getLeaderboard": Player._leaders,
    "getPlayerLeaderboardPosition": Player._place,
    "getPlayerCosmetics": Player._looks,
}
