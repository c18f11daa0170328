"""What the feed sends beside game states, trades and chat: all its events, with all their fields and invented values.

Each is a list of messages: an event, its arguments, and whether the client sent it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tests.retrieval import own_payloads
from tests.retrieval.scene import Message, Scene

PRACTICE: Final = {
    "address": "0xPractice",
    "ticker": "FREE",
    "name": "Free Practice Token",
    "max_bet": 10_000,
    "max_win": 100_000,
    "logoURI": "/icons/practice.png",
}
_PRIZES: Final = {str(place): share for place, share in enumerate((2, 1, 0.5, 0.2, 0.1, 0.1, 0.05, 0.05), 1)}
_QUIET: Final = {"token": "0xPractice", "startingBalance": 100, "prepTimeMinutes": 20, "levelRequired": 4}


def messages(what: str, scene: Scene) -> list[Message]:
    """Return what is sent at a moment of the plan.

    Raises:
        KeyError: if nothing goes by that name.
    """
    return _SENT[what](scene)


def _event(scene: Scene, minutes: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"admin-{scene.chance.uuid()}",
        "startTime": scene.iso(minutes),
        "endTime": scene.iso(minutes + 30),
        "prepTimeMinutes": 20,
        "levelRequired": 4,
        "status": "SCHEDULED",
        "createdAt": scene.iso(-900),
        "createdBy": "admin",
        **more,
    }


def royale_state(scene: Scene) -> dict[str, Any]:
    """Return what each game state says of the rug royale."""
    planned = [_event(scene, 600 * day, startingBalance=100, customPrizes=_PRIZES) for day in (1, 2)]
    return {
        "status": "SCHEDULED",
        "activeEventId": planned[0]["id"],
        "currentEvent": planned[0],
        "upcomingEvents": [],
        "events": planned,
    }


def _golden(scene: Scene, status: str) -> Message:
    running = _event(scene, -10, durationMinutes=30, prizeAmount=0.4, maxEntries=60)
    payload = {
        "status": status,
        "activeEventId": running["id"] if status != "COMPLETED" else None,
        "currentEvent": running if status != "COMPLETED" else None,
        "events": [running],
        "upcomingEvents": [],
        "currentGameIsGolden": status == "ACTIVE",
    }
    return scene.traced("goldenHourUpdate", payload)


def _drawing(scene: Scene) -> Message:
    entries = [
        {
            "playerId": scene.who(place)["playerId"],
            "username": scene.who(place)["username"],
            "entryCount": 60 - 9 * place,
            "entryPercentage": 24.5 - 3.5 * place,
        }
        for place in range(5)
    ]
    winner = next(player for player in scene.players if player.username == "zephyrine")
    entries.append(
        {"playerId": winner.id, "username": "zephyrine", "entryCount": 4, "entryPercentage": 1.6},
    )
    payload = {
        "id": scene.chance.uuid(),
        "gameId": scene.game_id,
        "timestamp": scene.ms,
        "entries": entries,
        "winnerIndex": len(entries) - 1,
        "winnerPlayerId": winner.id,
        "prizeAmount": 0.4,
    }
    return scene.traced("goldenHourDrawing", payload)


def _notification(scene: Scene) -> Message:
    return scene.traced("gameNotification", {"type": "goldenhour", "message": "Golden hour has ended. Thank you all!"})


def _battle(scene: Scene, *, planned: bool) -> Message:
    payload: dict[str, Any] = {
        "status": "SCHEDULED",
        "startTime": None,
        "endTime": None,
        "nextEventStartTime": scene.iso(90) if planned else None,
        "currentEvent": None,
        "nextEvent": None,
        "leaderboard": [],
        "fullLeaderboardSize": 0,
        "playerPosition": None,
        "participantCount": 0,
        "activeBattleCount": 0,
        "lobbyCreationDisabled": False,
        "queue": {"active": False, "queueSize": 0, "availableLobbies": 0},
        "isShowingPreviousEvent": None,
        "eventSchedule": [],
        "config": _QUIET,
    }
    return scene.traced("battleEventUpdate", payload)


def _royale(scene: Scene) -> Message:
    ranked = [
        {**scene.who(place), "balance": 410.5 - 33 * place, "rank": place + 1, "lastUpdated": scene.ms - 4_000}
        for place in range(6)
    ]
    winners = [{key: each[key] for key in ("playerId", "username", "rank")} for each in ranked[:3]]
    past = {
        "id": f"royale-{scene.ms - 86_400_000}",
        "startTime": scene.iso(-1500),
        "endTime": scene.iso(-1470),
        "savedAt": scene.iso(-1469),
        "leaderboard": ranked,
        "winners": [{**winner, "amount": 1 / (place + 1)} for place, winner in enumerate(winners)],
    }
    payload = {
        "status": "INACTIVE",
        "activeEventId": None,
        "currentEvent": None,
        "upcomingEvents": [],
        "events": [],
        "leaderboard": ranked,
        "history": [past],
        "playerPosition": None,
        "timeRemaining": None,
        "finalRound": False,
        "isInFinalRound": False,
        "config": {**_QUIET, "prizeTiers": {"1": 3, "2": 1, "3": 0.5, "4-6": 0.1}},
    }
    return Message("rugRoyaleUpdate", [payload])


def _sidebet_tournament(scene: Scene) -> Message:
    ranked = [
        {
            **scene.who(place),
            "rank": place + 1,
            "sidebetsPlaced": 14,
            "sidebetsHit": 9 - place,
            "accuracy": 64.3 - 7 * place,
            "avgTicksOff": 11.5 + 2 * place,
            "lastUpdated": scene.ms - 900,
        }
        for place in range(4)
    ]
    running = _event(scene, 15, customPrizes={})
    winner = {key: scene.who(2)[key] for key in ("playerId", "username")}
    payload = {
        "status": "PREP",
        "activeEventId": running["id"],
        "currentEvent": running,
        "events": [running],
        "upcomingEvents": [],
        "leaderboard": ranked,
        "history": [
            {
                "id": f"sidebets-{scene.ms}",
                "startTime": scene.iso(-3000),
                "endTime": scene.iso(-2970),
                "savedAt": scene.iso(-2969),
                "leaderboard": ranked,
                "winners": [{**winner, "rank": 1, "amount": 2}],
            }
        ],
        "playerPosition": None,
        "timeRemaining": None,
        "config": {**_QUIET, "prizeTiers": {"1": 3, "2": 1, "3": 0.5}},
    }
    return scene.traced("sidebetEventUpdate", payload)


def _maintenance(scene: Scene, *, soon: bool) -> Message:
    text = "The server reboots once this round is over." if soon else ""
    return scene.traced("maintenanceUpdate", {"active": soon, "mega": False, "message": text})


def _connected(scene: Scene) -> list[Message]:
    return [_golden(scene, "SCHEDULED"), _battle(scene, planned=False), _royale(scene), _maintenance(scene, soon=False)]


def _god_candle(scene: Scene) -> list[Message]:
    payload = {"type": "event", "message": "A god candle lifted the price tenfold in one tick!"}
    return [scene.traced("gameNotification", payload)]


_SENT: Final[dict[str, Callable[[Scene], list[Message]]]] = {
    "connected": _connected,
    "golden-active": lambda scene: [_golden(scene, "ACTIVE")],
    "golden-drawing": lambda scene: [_golden(scene, "ENDING"), _drawing(scene)],
    "golden-notification": lambda scene: [_notification(scene)],
    "golden-completed": lambda scene: [_golden(scene, "COMPLETED")],
    "battle-scheduled": lambda scene: [_battle(scene, planned=True)],
    "god-candle": _god_candle,
    "royale-running": lambda scene: [_royale(scene)],
    "sidebet-tournament": lambda scene: [_sidebet_tournament(scene)],
    "maintenance": lambda scene: [_maintenance(scene, soon=True)],
    "pool-status": lambda scene: [scene.lost("rugpoolStatus")],
    "pool-drawing": lambda scene: [scene.lost("rugpoolDrawing")],
    "login": own_payloads.login,
    "own-view": own_payloads.own_view,
    "orders": own_payloads.orders,
    "account": own_payloads.account,
    "acknowledgements": own_payloads.acknowledgements,
    "rug-pass": own_payloads.rug_pass,
    "connection-lost": lambda scene: [
        Message("disconnect", [{"reason": "transport close"}]),
        Message("connect_error", [{"error": "503 while restarting"}]),
    ],
    "documented": own_payloads.documented,
}
