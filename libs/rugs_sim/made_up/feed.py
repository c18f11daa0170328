"""The feed of a game that plays itself: what is sent, and when.

It is played in steps: a `Sent`, or the moment before which nothing more happens. So whoever
plays it in real time waits before a game goes on and not after, and what
`connecting` tells somebody who comes at any moment is what those know who have watched.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from rugs_sim.made_up import frames
from rugs_sim.made_up.chance import Chance
from rugs_sim.made_up.game import BOARD_SIZE, Game, Player, step, trade

HISTORY: Final = 10
_PLAYERS: Final = 90
_TICK_US: Final = 250_000
_COOLDOWN_STEP_US: Final = 100_000


class Sent(NamedTuple):
    """An event on its way to those who record; `at` is in microseconds since the Unix epoch."""

    at: int
    event: str
    arguments: list[Any]


Step = Sent | int
"""An event, or a moment (microseconds since the Unix epoch) before which nothing happens."""


class Feed:
    """An endless feed. The same seed and start give the same one.

    With `history_prices` false, the histories tell no prices, as the feed's own later did not.
    """

    def __init__(self, seed: int, start: int, *, history_prices: bool = True) -> None:
        self.at = start
        """Microseconds since the Unix epoch."""
        self.ended = 0
        """How many games have been played to their end."""
        self._history_prices = history_prices
        self._chance = Chance(seed)
        self.players = [
            Player(self._chance.player_id(), self._chance.name() if index % 7 else None, self._chance.whole(1, 90))
            for index in range(_PLAYERS)
        ]
        self._connected = self._chance.whole(180, 260)
        self._rugpool = self._chance.money(0.1, 9)
        self._history: list[Game] = []
        for age in range(HISTORY, 0, -1):
            self._remember(self._played(start - age * 75_000_000))
        self.best = max((self._played(start - 9_000_000_000) for _ in range(4)), key=lambda game: len(game.prices))
        self.game = self._history[0]
        self.countdown = 0
        """Milliseconds to the game's beginning; 0 once it has begun."""
        self._shown: list[dict[str, Any]] | None = None

    def events(self) -> Iterator[Sent]:
        """Give what is sent from a moment in the middle of a game on."""
        self.game = self._new_game()
        for _ in range(4):
            step(self.game, self._chance, self.players, self.at // 1000)
        if not self.game.rugged:
            yield self.connecting()
        yield from (step for step in self._games() if isinstance(step, Sent))

    def rounds(self) -> Iterator[Step]:
        """Give whole games, each from the beginning of its countdown on."""
        yield from self._countdown_to(self._new_game(), self.game.board())
        yield from self._games()

    def connecting(self) -> Sent:
        """Return what somebody is sent who connects now; it changes nothing."""
        return self._state(self._full(cooldown=self.countdown, board=self._shown, connecting=True))

    def _games(self) -> Iterator[Step]:
        """Play the game that has begun, and one after the other."""
        while True:
            yield from self._ticks()
            yield from self._rug()
            board = self.game.board()
            yield from self._countdown_to(self._new_game(), board)

    def _ticks(self) -> Iterator[Step]:
        while not self.game.rugged:
            yield self._later(_TICK_US)
            if self._chance.happens(0.12) and (traded := trade(self.game, self._chance, self._anybody())):
                yield self._sent("standard/newTrade", [self._chance.trace(), traded])
            yield from self._talk(0.03)
            step(self.game, self._chance, self.players, self.at // 1000)
            yield self._later(self._chance.whole(100, 900))
            yield self._state(frames.playing(self.game, self._history, self._drift(), self._rugpool))

    def _rug(self) -> Iterator[Step]:
        """The end of a game is told twice; before the second, large frame the next one may be counting down."""
        yield self._later(self._chance.whole(550_000, 700_000))
        yield self._state(self._full(late_ticks=self._chance.whole(1, 2)))
        self._remember(self.game)
        self._rugpool = round(self._rugpool + self._chance.money(0, 0.2), 10)
        self.ended += 1

    def _countdown_to(self, game: Game, board: list[dict[str, Any]]) -> Iterator[Step]:
        """Count down to a game; as long as nobody may bet on it, the leaderboard of the last one is shown."""
        yield self._later(self._chance.whole(1_000, 9_000))
        self.game, self._shown, self.countdown = game, board, frames.COOLDOWN_MS
        yield self._state(self._full(cooldown=frames.COOLDOWN_MS, board=board))
        for left in range(frames.COOLDOWN_MS - 100, 0, -100):
            yield self._later(_COOLDOWN_STEP_US)
            yield from self._talk(0.012)
            self.countdown = left
            if left == frames.PRESALE_MS:
                yield self._state(frames.playing(game, self._history, self._connected, self._rugpool, left))
                continue
            if left < frames.PRESALE_MS and self._chance.happens(0.4):
                trade(game, self._chance, self._chance.one(self.players[:30]))
            self._shown = board if left > frames.PRESALE_MS else game.board()
            yield self._state(frames.waiting(game, self._shown, self._drift(), left))
        yield self._later(_COOLDOWN_STEP_US)
        self._shown, self.countdown = None, 0
        yield self._state(frames.beginning(game, self._connected))

    def _talk(self, probability: float) -> Iterator[Step]:
        if self._chance.happens(probability):
            yield self._later(self._chance.whole(200, 30_000))
            player = self._anybody()
            said = {
                "playerId": player.id,
                "username": player.username,
                "level": player.level,
                "message": self._chance.sentence(),
                "timestamp": self.at // 1000 - self._chance.whole(30, 90),
                "filtered": False,
                "role": None,
                "tag": None,
                "verified": self._chance.happens(0.5),
                "discordUsername": None,
                "replyTo": None,
            }
            yield self._sent("newChatMessage", [self._chance.trace(), said])

    def _full(self, **told: Any) -> dict[str, Any]:
        keeps = self._history_prices
        return frames.full(self.game, self._history, self.best, self._connected, history_prices=keeps, **told)

    def rugpool_of(self, game_id: str) -> dict[str, Any]:
        """Return what a player is told of the pool beside each game state."""
        entries = [
            {
                "playerId": player.id,
                "entries": 5000 - 431 * place,
                "username": player.username,
                "percentage": 22.4 - place,
            }
            for place, player in enumerate(self.players[:BOARD_SIZE])
        ]
        winners = [
            {"playerId": player.id, "username": player.username, "entries": 5000, "reward": self._rugpool / 3}
            for player in self.players[10:13]
        ]
        return {
            "gameId": game_id,
            "rugpool": {
                "instarugCount": 3,
                "rugpoolAmount": self._rugpool,
                "totalEntries": 22269,
                "threshold": 10,
                "playersWithEntries": 155,
                "solPerEntry": 0.001,
                "maxEntriesPerPlayer": 5000,
                "playerEntries": entries,
                "lastDrawing": {"timestamp": self.best.ended, "winners": winners, "rewardPerWinner": self._rugpool / 3},
                "config": {"threshold": 10, "instarugThreshold": 6, "rugpoolPercentage": 0.5},
            },
        }

    def _state(self, payload: dict[str, Any]) -> Sent:
        return self._sent("gameStateUpdate", [payload])

    def _sent(self, event: str, arguments: list[Any]) -> Sent:
        return Sent(self.at, event, arguments)

    def _later(self, micros: int) -> int:
        self.at += micros + self._chance.whole(0, 4_000)
        return self.at

    def _anybody(self) -> Player:
        return self._chance.one(self.players)

    def _drift(self) -> int:
        if self._chance.happens(0.1):
            self._connected += self._chance.whole(-2, 2)
        return self._connected

    def _new_game(self) -> Game:
        day = datetime.fromtimestamp(self.at / 1_000_000, UTC)
        return Game(f"{day:%Y%m%d}-{self._chance.hex(16)}", self._chance.hex(64))

    def _played(self, ended: int) -> Game:
        game, players = self._new_game(), self.players
        while not game.rugged:
            step(game, self._chance, players, ended // 1000)
        return game

    def _remember(self, game: Game) -> None:
        self._history = [game, *self._history][:HISTORY]
