"""What the feed says beside the game: events of a low rate. Shapes as captured; times are those of the feed.

No payload of the golden hour was at hand: those are made up from what is known of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rugs_sim.made_up.chance import Chance
from rugs_sim.made_up.feed import Feed
from rugs_sim.made_up.game import COIN, SIDE_BET_TICKS

Event = tuple[str, list[Any]]

_EVERY: Final = {
    "goldenHourUpdate": 70,
    "battleEventUpdate": 190,
    "sidebetEventUpdate": 240,
    "newSideBet": 340,
    "goldenHourDrawing": 450,
    "rugRoyaleUpdate": 900,
    "maintenanceUpdate": 2_000,
    "rugpoolStatus": 6_000,
    "gameNotification": 6_000,
    "godCandle50xUpdate": 12_000,
}
"""How many game states there are, on average, to one of each."""
_ROYALES: Final = 9
_CLIP_BYTES: Final = 3_000
_PRIZES: Final = {str(place): share for place, share in enumerate((1, 0.5, 0.25, 0.1, *[0.025] * 6), 1)}


class SideEvents:
    """Draws by a chance of its own, so that the games are the same with and without."""

    def __init__(self, seed: int, feed: Feed) -> None:
        self._chance = Chance(seed)
        self._feed = feed
        self._royales = [self._royale(2 * place) for place in range(_ROYALES)]

    @property
    def royale(self) -> dict[str, Any]:
        """What every tick's game state says of the tournaments: nearly half of its bytes."""
        return {
            "status": "SCHEDULED",
            "activeEventId": self._royales[0]["id"],
            "currentEvent": self._royales[0],
            "upcomingEvents": [],
            "events": self._royales,
        }

    def after_state(self, *, is_rug: bool) -> Iterator[Event]:
        """Give what happens to be said after a game state; after a rug there is a picture, as a binary event."""
        for event, states in _EVERY.items():
            if self._chance.happens(1 / states):
                yield self.one(event)
        if is_rug:
            image = bytes.fromhex(self._chance.hex(2 * _CLIP_BYTES))
            yield "gameClip", [{"gameId": self._feed.game.id, "type": "image/png", "image": image}]

    def on_connecting(self, chance: Chance) -> Iterator[Event]:
        """Give what somebody is told who connects, after the game's state; by a chance of the connection's own."""
        for event in ("goldenHourUpdate", "battleEventUpdate", "rugRoyaleUpdate", "sidebetEventUpdate"):
            yield self.one(event, chance)
        yield self.one("maintenanceUpdate", chance)

    def one(self, event: str, chance: Chance | None = None) -> Event:
        """Return an event of that name."""
        chance = chance or self._chance
        if event == "rugRoyaleUpdate":  # the one of them that is not traced
            return event, [self._royale_update(chance)]
        return event, [chance.trace(), _PAYLOADS[event](self, chance)]

    def _golden_hour(self, chance: Chance) -> dict[str, Any]:
        return {
            "status": "INACTIVE",
            "isActive": False,
            "startTime": self._iso(60),
            "endTime": self._iso(120),
            "nextStartTime": self._iso(1_500),
            "totalPrizePool": chance.money(1, 5),
            "entries": [self._entry(chance, place) for place in range(1, 6)],
            "playerEntries": None,
            "config": {"entriesPerSol": 100, "maxEntries": 10_000, "drawings": 12},
        }

    def _golden_drawing(self, chance: Chance) -> dict[str, Any]:
        winner = self._entry(chance, 1)
        return {"drawingId": chance.uuid(), "drawnAt": self._iso(0), "winner": winner, "prize": chance.money(0.05, 1)}

    def _battle(self, chance: Chance) -> dict[str, Any]:
        return {
            "status": "SCHEDULED",
            "startTime": None,
            "endTime": None,
            "nextEventStartTime": None,
            "currentEvent": None,
            "nextEvent": None,
            "leaderboard": [],
            "fullLeaderboardSize": 0,
            "playerPosition": None,
            "participantCount": chance.whole(0, 20),
            "activeBattleCount": 0,
            "lobbyCreationDisabled": False,
            "queue": {"active": False, "queueSize": 0, "availableLobbies": chance.whole(0, 3)},
            "isShowingPreviousEvent": None,
            "eventSchedule": [],
            "config": {"token": "0xPractice", "startingBalance": 100, "prepTimeMinutes": 30, "levelRequired": 1},
        }

    def _sidebet_event(self, chance: Chance) -> dict[str, Any]:
        leaders = [{**self._entry(chance, place), "wagered": chance.money(0.1, 9)} for place in range(1, 6)]
        return {"status": "ACTIVE", "startTime": self._iso(0), "endTime": self._iso(600), "leaderboard": leaders}

    def _side_bet(self, chance: Chance) -> dict[str, Any]:
        tick = len(self._feed.game.prices) - 1
        return {
            **self._player(chance),
            "gameId": self._feed.game.id,
            "betAmount": chance.money(0.001, 0.2),
            "xPayout": 5,
            "coinAddress": COIN,
            "timestamp": self._feed.at // 1000,
            "type": "placed",
            "startedAtTick": tick,
            "end": tick + SIDE_BET_TICKS,
            "id": chance.uuid(),
        }

    def _maintenance(self, chance: Chance) -> dict[str, Any]:
        return {"active": False, "message": None, "startsAt": None}

    def _rugpool(self, chance: Chance) -> dict[str, Any]:
        pool: dict[str, Any] = self._feed.rugpool_of(self._feed.game.id)["rugpool"]
        return pool

    def _notification(self, chance: Chance) -> dict[str, Any]:
        return {"id": chance.uuid(), "type": "info", "message": chance.sentence(), "timestamp": self._feed.at // 1000}

    def _god_candle(self, chance: Chance) -> dict[str, Any]:
        told = {"gameId": self._feed.game.id, "massiveJump": [1, chance.between(50, 60)]}
        return {**told, "timestamp": self._feed.at // 1000, "winners": [self._entry(chance, 1)]}

    def _royale_update(self, chance: Chance) -> dict[str, Any]:
        leaders = [{**self._entry(chance, place), "balance": chance.money(10, 5_000)} for place in range(1, 11)]
        return {
            **self.royale,
            "leaderboard": leaders,
            "history": [],
            "playerPosition": None,
            "timeRemaining": None,
            "finalRound": False,
            "isInFinalRound": False,
            "config": {
                "token": "0xPractice",
                "startingBalance": 100,
                "prepTimeMinutes": 30,
                "levelRequired": 1,
                "prizeTiers": {"1": 3, "2": 1, "3": 0.5, "4": 0.15, "5": 0.1, "6-10": 0.05},
            },
        }

    def _royale(self, hours: int) -> dict[str, Any]:
        return {
            "id": f"admin-{self._chance.uuid()}",
            "startTime": self._iso(hours * 60),
            "endTime": self._iso(hours * 60 + 60),
            "prepTimeMinutes": 30,
            "levelRequired": 10,
            "status": "SCHEDULED",
            "createdAt": self._iso(-300),
            "createdBy": "admin",
            "startingBalance": 100,
            "customPrizes": _PRIZES,
        }

    def _entry(self, chance: Chance, place: int) -> dict[str, Any]:
        return {**self._player(chance), "entries": chance.whole(1, 5_000), "rank": place}

    def _player(self, chance: Chance) -> dict[str, Any]:
        player = chance.one(self._feed.players)
        return {"playerId": player.id, "username": player.username, "level": player.level}

    def _iso(self, minutes: int) -> str:
        moment = datetime.fromtimestamp(self._feed.at // 1_000_000, UTC) + timedelta(minutes=minutes)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"


_PAYLOADS: Final[dict[str, Callable[[SideEvents, Chance], dict[str, Any]]]] = {
    "goldenHourUpdate": SideEvents._golden_hour,
    "goldenHourDrawing": SideEvents._golden_drawing,
    "battleEventUpdate": SideEvents._battle,
    "sidebetEventUpdate": SideEvents._sidebet_event,
    "newSideBet": SideEvents._side_bet,
    "maintenanceUpdate": SideEvents._maintenance,
    "rugpoolStatus": SideEvents._rugpool,
    "gameNotification": SideEvents._notification,
    "godCandle50xUpdate": SideEvents._god_candle,
}
