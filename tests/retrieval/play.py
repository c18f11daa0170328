"""Plays the games of the plan: each as what the feed sends, and as the facts that questions are checked against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final
from zlib import crc32

from rugs_core.time import from_us, to_us
from rugs_sim.made_up import frames
from rugs_sim.made_up.chance import Chance
from rugs_sim.made_up.game import COIN, SIDE_BET_TICKS, Game, Player, trade
from tests.retrieval import payloads, trading
from tests.retrieval.curves import prices_of
from tests.retrieval.plan import BOT, CAST
from tests.retrieval.plan_types import Bet, GamePlan, Happening, Moment, Remark, Trade
from tests.retrieval.scene import Message, Scene

TICK_US: Final = 250_000
SECOND_US: Final = 1_000_000
_COUNTDOWN_S: Final = 15
_CROWD: Final = 12


@dataclass(frozen=True)
class Sent:
    """A message on its way to a recorder; `at` is microseconds since the Unix epoch, `ref` what questions call it."""

    at: int
    message: Message
    ref: str = ""


@dataclass(frozen=True)
class Happened:
    """One thing that questions refer to.

    Attributes:
        at: microseconds since the Unix epoch.
        event: of the feed, or what was done.
        player: its user name; empty where nobody did it.
        text: what was written, or done, in plain words.
    """

    ref: str
    at: int
    event: str
    game: str
    player: str
    text: str


@dataclass(frozen=True)
class GameFacts:
    """What is true of a game, whoever recorded it. Times are microseconds since the Unix epoch.

    Attributes:
        name: stable, as in the plan.
        prices: of each tick; the last is that of the rug.
        traders: who bought or sold, of those with a name in the plan.
    """

    name: str
    id: str
    start: int
    prices: tuple[float, ...] = field(repr=False)
    seed: str = field(default="", repr=False)
    traders: tuple[str, ...] = ()
    happened: tuple[Happened, ...] = ()

    @property
    def ticks(self) -> int:
        """How many prices it had."""
        return len(self.prices)

    @property
    def rug_tick(self) -> int:
        """Its last tick."""
        return len(self.prices) - 1

    @property
    def peak(self) -> float:
        """Its highest price."""
        return max(self.prices)

    @property
    def peak_tick(self) -> int:
        """The first tick with its highest price."""
        return self.prices.index(self.peak)

    @property
    def low(self) -> float:
        """Its lowest price before the rug."""
        return min(self.prices[:-1])

    @property
    def end(self) -> int:
        """When it rugged."""
        return self.start + self.rug_tick * TICK_US

    @property
    def day(self) -> str:
        """The UTC date of its start."""
        return f"{from_us(self.start):%Y-%m-%d}"


def facts_of(plan: GamePlan) -> GameFacts:
    """Return what is true of a planned game."""
    chance = Chance(crc32(plan.name.encode()))
    start = micros(plan.start)
    game_id = f"{from_us(start):%Y%m%d}-{chance.hex(16)}"
    prices = tuple(prices_of(plan.curve, chance))
    traders = sorted({each.player for each in plan.happenings if isinstance(each, Trade)})
    happened = tuple(_happened(each, plan, start) for each in plan.happenings if each.ref)
    return GameFacts(plan.name, game_id, start, prices, chance.hex(64), tuple(traders), happened)


def micros(iso: str) -> int:
    """Return a UTC time of the plan in microseconds since the Unix epoch."""
    return to_us(datetime.fromisoformat(f"{iso}+00:00"))


@cache
def cast() -> dict[str, Player]:
    """Return the players of the plan, by user name."""
    chance = Chance(20_251_201)
    return {name: Player(chance.player_id(), name, level) for name, level in CAST.items()}


@cache
def crowd() -> list[Player]:
    """Return players who only make the games look busy; two have no user name."""
    chance = Chance(20_251_202)
    return [
        Player(chance.player_id(), None if place < 2 else f"guest{place:02d}", chance.whole(1, 40))
        for place in range(_CROWD)
    ]


def play(plan: GamePlan, past: Sequence[Game], *, history_prices: bool) -> tuple[list[Sent], Game]:
    """Return what the feed sends from a game's countdown to its end, and the game, ended.

    Args:
        past: the games before it, newest first; at least one.
        history_prices: whether the histories tell prices; the real feed stopped that some day.
    """
    return _Play(plan, past, history_prices).run()


def ended(facts: GameFacts) -> Game:
    """Return a game that is over, as histories tell of it."""
    return Game(facts.id, facts.seed, [*facts.prices], rugged=True, ended=facts.end // 1000)


def at_tick(start: int, tick: int) -> int:
    """Return when something happens, µs: a negative tick counts seconds before the game's start."""
    if tick < 0:
        return start + tick * SECOND_US - 400_000
    return start + tick * TICK_US - 90_000


class _Play:
    def __init__(self, plan: GamePlan, past: Sequence[Game], history_prices: bool) -> None:
        self.facts = facts_of(plan)
        self.past = list(past)
        self.plan = plan
        self.chance = Chance(crc32(plan.name.encode()) + 1)
        self.game = Game(self.facts.id, self.facts.seed, [1])
        self.history_prices = history_prices
        self.sent: list[Sent] = []
        self.remarks: dict[str, tuple[Player, int, str]] = {}

    def run(self) -> tuple[list[Sent], Game]:
        facts = self.facts
        self._full(facts.start - _COUNTDOWN_S * SECOND_US, cooldown=15_000, board=self._last_board())
        for second in range(_COUNTDOWN_S - 1, 0, -1):
            self._happen(-second)
            left = second * 1000
            board = self._last_board() if left > frames.PRESALE_MS else self.game.board()
            at = facts.start - second * SECOND_US
            if left == frames.PRESALE_MS:
                self._state(at, frames.playing(self.game, self.past, 204, 2.75, left))
            else:
                self._state(at, frames.waiting(self.game, board, 204, left))
        self._state(facts.start, frames.beginning(self.game, 203))
        for tick in range(1, facts.ticks):
            self._happen(tick)
            self._tick(tick)
        self._full(facts.end + 600_000, late_ticks=2)
        return self.sent, self.game

    def _tick(self, tick: int) -> None:
        facts, game = self.facts, self.game
        at = facts.start + tick * TICK_US
        if tick % 3 == 0 and (done := trade(game, self.chance, self.chance.one(crowd()))) and tick % 12 == 0:
            self._send(at - 50_000, Message("standard/newTrade", [self.chance.trace(), {**done, "leverage": 1}]))
        game.prices.append(facts.prices[tick])
        if tick == facts.rug_tick:
            game.rugged, game.ended = True, at // 1000
            trading.settle(game, self.chance, at // 1000)
        self._state(at, frames.playing(game, self.past, 200 + tick % 9, 2.75))

    def _happen(self, tick: int) -> None:
        for each in self.plan.happenings:
            if each.tick == tick:
                self._one(each, at_tick(self.facts.start, tick))

    def _one(self, each: Happening, at: int) -> None:
        if isinstance(each, Moment):
            if each.what == "connected":
                self._full(at - 2000, cooldown=frames.COOLDOWN_MS, board=self._last_board(), connecting=True)
            for offset, message in enumerate(payloads.messages(each.what, self._scene(at))):
                is_it = message.event == _main_event(each.what)
                self._send(at + offset * 1000, message, each.ref if is_it else "")
            return
        player = cast()[each.player]
        if isinstance(each, Remark):
            self._send(at, self._remark(each, player, at), each.ref)
        elif isinstance(each, Bet):
            self._send(at, self._bet(each, player, at), each.ref)
        else:
            payload = trading.scripted(self.game, each, player, self.chance)
            self._send(at, Message("standard/newTrade", [self.chance.trace(), payload]), each.ref)

    def _remark(self, each: Remark, player: Player, at: int) -> Message:
        answered = self.remarks.get(each.reply_to)
        payload = {
            "playerId": player.id,
            "username": player.username,
            "level": player.level,
            "message": each.message,
            "timestamp": at // 1000 - 40,
            "filtered": False,
            "role": None,
            "tag": "ogplayer" if player.level > 50 else None,
            "verified": player.level > 20,
            "discordUsername": f"{each.player.lower()}#0" if player.level > 20 else None,
            "replyTo": None
            if answered is None
            else {"key": f"{answered[0].id}-{answered[1]}", "message": answered[2], "username": answered[0].username},
        }
        self.remarks[each.ref] = (player, at // 1000 - 40, each.message)
        return Message("newChatMessage", [self.chance.trace(), payload])

    def _bet(self, each: Bet, player: Player, at: int) -> Message:
        tick = len(self.game.prices) - 1
        placed = {
            "playerId": player.id,
            "username": player.username,
            "gameId": self.game.id,
            "betAmount": each.amount,
            "xPayout": 5,
            "coinAddress": COIN,
            "bonusPortion": 0,
            "realPortion": each.amount,
            "timestamp": at // 1000,
            "type": "placed",
            "startedAtTick": tick,
            "end": tick + SIDE_BET_TICKS,
            "id": self.chance.uuid(),
        }
        self.game.side_bets.append(placed)
        ends = {"startTick": tick, "endTick": tick + SIDE_BET_TICKS, "tickIndex": tick, "price": self.game.prices[-1]}
        left_out = ("id", "startedAtTick", "end", "bonusPortion", "realPortion")
        payload = {key: value for key, value in placed.items() if key not in left_out} | ends | {"level": player.level}
        return Message("newSideBet", [self.chance.trace(), payload])

    def _state(self, at: int, state: dict[str, Any]) -> None:
        scene = self._scene(at)
        if "rugRoyale" in state:
            state["rugRoyale"] = payloads.royale_state(scene)
        if self.game.trades % 5 == 4 and state["leaderboard"]:
            state["leaderboard"] = trading.decorated(state["leaderboard"], scene)
        self._send(at, Message("gameStateUpdate", [state]))

    def _full(self, at: int, **more: Any) -> None:
        best = max(self.past, key=lambda game: max(game.prices))
        state = frames.full(self.game, self.past, best, 204, history_prices=self.history_prices, **more)
        known = {"GameId": best.id, "ServerSeed": best.seed}
        state |= {f"highestToday{name}": value for name, value in known.items()}
        for size in (2, 10, 50):
            key = f"godCandle{size}x"
            state |= {f"{key}{name}": value if size == 50 else None for name, value in known.items()}
        state["godCandle50x"], state["godCandle50xMassiveJump"] = 57.5, [0.61, 6.1]
        state["godCandle50xPrices"], state["godCandle50xTimestamp"] = best.prices[:40], best.ended
        self._send(at, Message("gameStateUpdate", [state]))

    def _last_board(self) -> list[dict[str, Any]]:
        return self.past[0].board()

    def _scene(self, at: int) -> Scene:
        tick = len(self.game.prices) - 1
        everybody = [player for name, player in cast().items() if name != BOT]
        return Scene(at, self.game.id, tick, self.game.prices[-1], everybody, cast()[BOT], self.chance)

    def _send(self, at: int, message: Message, ref: str = "") -> None:
        self.sent.append(Sent(at, message, ref))


def _main_event(what: str) -> str:
    """Return the event of a moment that questions ask for."""
    return MAIN_EVENTS.get(what, "")


MAIN_EVENTS: Final = {
    "connected": "rugRoyaleUpdate",
    "golden-active": "goldenHourUpdate",
    "golden-drawing": "goldenHourDrawing",
    "golden-notification": "gameNotification",
    "battle-scheduled": "battleEventUpdate",
    "god-candle": "gameNotification",
    "royale-running": "rugRoyaleUpdate",
    "sidebet-tournament": "sidebetEventUpdate",
    "maintenance": "maintenanceUpdate",
    "pool-drawing": "rugpoolDrawing",
    "connection-lost": "disconnect",
}
"""The event by which questions know a moment of the plan."""


def _happened(each: Happening, plan: GamePlan, start: int) -> Happened:
    at = at_tick(start, each.tick)
    if isinstance(each, Moment):
        return Happened(each.ref, at, _main_event(each.what), plan.name, "", each.what)
    if isinstance(each, Remark):
        return Happened(each.ref, at, "newChatMessage", plan.name, each.player, each.message)
    if isinstance(each, Bet):
        return Happened(each.ref, at, "newSideBet", plan.name, each.player, f"side bet {each.amount} SOL")
    return Happened(each.ref, at, "standard/newTrade", plan.name, each.player, f"{each.kind} {each.amount} SOL")
