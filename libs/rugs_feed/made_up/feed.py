"""The feed of a game that plays itself: what is sent, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from rugs_feed.made_up import frames
from rugs_feed.made_up.chance import Chance
from rugs_feed.made_up.game import BOARD_SIZE, Game, Player, step, trade

HISTORY: Final = 10
_PLAYERS: Final = 90
_TICK_US: Final = 250_000
_COOLDOWN_STEP_US: Final = 100_000


class Sent(NamedTuple):
    """An event on its way to those who record; `at` is in microseconds since the Unix epoch."""

    at: int
    event: str
    arguments: list[Any]


class Feed:
    """An endless feed. The same seed and start give the same one."""

    def __init__(self, seed: int, start: int) -> None:
        self._chance = Chance(seed)
        self._at = start
        self._players = [
            Player(self._chance.player_id(), self._chance.name() if index % 7 else None, self._chance.whole(1, 90))
            for index in range(_PLAYERS)
        ]
        self._connected = self._chance.whole(180, 260)
        self._rugpool = self._chance.money(0.1, 9)
        self._history: list[Game] = []
        for age in range(HISTORY, 0, -1):
            self._remember(self._played(start - age * 75_000_000))
        self.best = max((self._played(start - 9_000_000_000) for _ in range(4)), key=lambda game: len(game.prices))

    def events(self) -> Iterator[Sent]:
        """Give what is sent from a moment in the middle of a game on."""
        game = self._new_game()
        for _ in range(4):
            step(game, self._chance, self._players, self._at // 1000)
        if not game.rugged:
            yield self._state(frames.full(game, self._history, self.best, self._connected, connecting=True))
        while True:
            yield from self._ticks(game)
            yield from self._rug(game)
            board = game.board()
            game = self._new_game()
            yield from self._cooldown(game, board)

    def _ticks(self, game: Game) -> Iterator[Sent]:
        while not game.rugged:
            self._pass(_TICK_US)
            if self._chance.happens(0.12) and (traded := trade(game, self._chance, self._chance.one(self._players))):
                yield self._sent("standard/newTrade", [self._chance.trace(), traded])
            yield from self._talk(0.03)
            step(game, self._chance, self._players, self._at // 1000)
            self._pass(self._chance.whole(100, 900))
            yield self._state(frames.playing(game, self._history, self._drift(), self._rugpool))

    def _rug(self, game: Game) -> Iterator[Sent]:
        """The end of a game is told twice; before the second, large frame the next one may be counting down."""
        self._pass(self._chance.whole(550_000, 700_000))
        late = self._chance.whole(1, 2)
        yield self._state(frames.full(game, self._history, self.best, self._connected, late_ticks=late))
        self._remember(game)
        self._rugpool = round(self._rugpool + self._chance.money(0, 0.2), 10)

    def _cooldown(self, game: Game, board: list[dict[str, Any]]) -> Iterator[Sent]:
        left = frames.COOLDOWN_MS
        self._pass(self._chance.whole(1_000, 9_000))
        yield self._state(frames.full(game, self._history, self.best, self._connected, cooldown=left, board=board))
        for left in range(frames.COOLDOWN_MS - 100, 0, -100):
            self._pass(_COOLDOWN_STEP_US)
            yield from self._talk(0.012)
            if left == frames.PRESALE_MS:
                yield self._state(frames.playing(game, self._history, self._connected, self._rugpool, left))
                continue
            if left < frames.PRESALE_MS and self._chance.happens(0.4):
                trade(game, self._chance, self._chance.one(self._players[:30]))
            shown = board if left > frames.PRESALE_MS else game.board()
            yield self._state(frames.waiting(game, shown, self._drift(), left))
        self._pass(_COOLDOWN_STEP_US)
        yield self._state(frames.beginning(game, self._connected))

    def _talk(self, probability: float) -> Iterator[Sent]:
        if self._chance.happens(probability):
            self._pass(self._chance.whole(200, 30_000))
            player = self._chance.one(self._players)
            said = {
                "playerId": player.id,
                "username": player.username,
                "level": player.level,
                "message": self._chance.sentence(),
                "timestamp": self._at // 1000 - self._chance.whole(30, 90),
                "filtered": False,
                "role": None,
                "tag": None,
                "verified": self._chance.happens(0.5),
                "discordUsername": None,
                "replyTo": None,
            }
            yield self._sent("newChatMessage", [self._chance.trace(), said])

    def rugpool_of(self, game_id: str) -> dict[str, Any]:
        """Return what a player is told of the pool beside each game state."""
        entries = [
            {
                "playerId": player.id,
                "entries": 5000 - 431 * place,
                "username": player.username,
                "percentage": 22.4 - place,
            }
            for place, player in enumerate(self._players[:BOARD_SIZE])
        ]
        winners = [
            {"playerId": player.id, "username": player.username, "entries": 5000, "reward": self._rugpool / 3}
            for player in self._players[10:13]
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
        return Sent(self._at, event, arguments)

    def _pass(self, micros: int) -> None:
        self._at += micros + self._chance.whole(0, 4_000)

    def _drift(self) -> int:
        if self._chance.happens(0.1):
            self._connected += self._chance.whole(-2, 2)
        return self._connected

    def _new_game(self) -> Game:
        day = datetime.fromtimestamp(self._at / 1_000_000, UTC)
        return Game(f"{day:%Y%m%d}-{self._chance.hex(16)}", self._chance.hex(64))

    def _played(self, ended: int) -> Game:
        game, players = self._new_game(), self._players
        while not game.rugged:
            step(game, self._chance, players, ended // 1000)
        return game

    def _remember(self, game: Game) -> None:
        self._history = [game, *self._history][:HISTORY]
