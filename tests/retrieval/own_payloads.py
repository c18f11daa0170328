"""What one player's page asks and receives: orders, answers, account; with all fields and invented values."""

from __future__ import annotations

from typing import Any

from rugs_sim.made_up.game import COIN
from tests.retrieval.scene import ACK, Message, Scene


def _sent_traces(scene: Scene) -> list[Message]:
    """What a page asks as soon as it has connected, and answers of which no payload was ever recorded."""
    asked = [
        Message("chatHistory", [], is_sent=True),
        Message("checkUsername", [], is_sent=True),
        Message("getPlayerCosmetics", [], is_sent=True),
        Message("getLeaderboard", [{"period": "7d"}], is_sent=True),
        Message("getPlayerLeaderboardPosition", [{"period": "7d", "playerId": scene.me.id}], is_sent=True),
        scene.lost("authenticate", is_sent=True),
    ]
    answers = ("inboxMessages", "mutedPlayers", "playerCosmetics", "rugpassStatus", "leaderboardData", "chatHistory")
    parties = ("diddyPartyUpdate", "pinpointPartyEventUpdate")
    return [*asked, *map(scene.lost, (*answers, *parties))]


def login(scene: Scene) -> list[Message]:
    status = {"id": scene.me.id, "hasUsername": True, "username": scene.me.username}
    entry = {"playerId": scene.me.id, "username": scene.me.username, "pnl": -1.25}
    place = {
        "success": True,
        "period": "7d",
        "sortDirection": "highest",
        "playerFound": True,
        "rank": 812,
        "total": 2_640,
        "playerEntry": entry,
        "surroundingEntries": [entry],
    }
    payload = [scene.traced("usernameStatus", status), scene.traced("playerLeaderboardPosition", place)]
    return [*_sent_traces(scene), *payload, *account(scene)]


def account(scene: Scene) -> list[Message]:
    crate = {
        "crateType": "tier0",
        "crateName": "Iron Crate",
        "reward": {"type": "cash", "amount": 0.002, "probability": 0.3},
        "cooldownEnds": scene.ms + 3_600_000,
        "remainingSeconds": 3600,
    }
    bet = {"betAmount": 0.01, "startTick": 10, "endTick": 50, "gameId": scene.game_id, "xPayout": 5}
    payload = {
        "id": scene.me.id,
        "role": None,
        "cash": 4.2,
        "bonusBalance": 0.1,
        "bonusWagerReq": 2,
        "bonusWagered": 0.5,
        "positionQty": 0.08,
        "avgCost": 1.3,
        "cumulativePnL": 0.02,
        "sidebetPnl": 0,
        "pnlPercent": 3.1,
        "totalInvested": 0.1,
        "hasInteracted": True,
        "selectedCoin": None,
        "levelInfo": {"level": scene.me.level, "xp": 260, "xpForNextLevel": 900, "totalXP": 5_100},
        "crateKeys": {"gold": 0, "diamond": 0, "coal": 0, "iron": 0, "tier0": 1, "tier1": 0},
        "recentCrateRewards": [crate],
        "shitcoinBalances": {"0xPractice": 100},
        "authenticated": True,
        "hitMaxWin": False,
        "xpBoost": {"active": False, "activeUntil": 0, "available": 1},
        "sideBet": side_bet(scene),
        "sidebets": [bet],
        "shortPosition": None,
        "leveragedPositions": [],
        "autobuysEnabled": False,
        "autosellPrice": None,
    }
    return [Message("playerUpdate", [payload])]


def side_bet(scene: Scene) -> dict[str, Any]:
    """Return an open side bet as a leaderboard shows it."""
    return {
        "betAmount": 0.01,
        "startedAtTick": scene.tick,
        "end": scene.tick + 40,
        "gameId": scene.game_id,
        "xPayout": 5,
        "coinAddress": COIN,
        "bonusPortion": 0,
        "realPortion": 0.01,
    }


def short_position(scene: Scene) -> dict[str, Any]:
    """Return an open short position as a leaderboard shows it."""
    return {
        "amount": 0.6,
        "entryPrice": 2.1,
        "entryTick": scene.tick,
        "currentValue": 0.64,
        "pnl": 0.04,
        "coinAddress": COIN,
        "bonusPortion": 0,
        "realPortion": 0.6,
    }


def pool(scene: Scene) -> dict[str, Any]:
    """Return the rug pool as a player sees it."""
    named = [{key: scene.who(place)[key] for key in ("playerId", "username")} for place in range(10)]
    winners = [{**each, "entries": 700, "reward": 1.1} for each in named[3:6]]
    return {
        "instarugCount": 4,
        "threshold": 10,
        "rugpoolAmount": 2.75,
        "totalEntries": 9_900,
        "playersWithEntries": 88,
        "solPerEntry": 0.001,
        "maxEntriesPerPlayer": 5000,
        "playerEntries": [{**each, "entries": 900 - 70 * at, "percentage": 9.1 - at} for at, each in enumerate(named)],
        "lastDrawing": {
            "timestamp": scene.ms - 7_000_000,
            "totalPoolAmount": 3.3,
            "rewardPerWinner": 1.1,
            "winners": winners,
        },
        "config": {"threshold": 10, "instarugThreshold": 6, "rugpoolPercentage": 0.5},
    }


def own_view(scene: Scene) -> list[Message]:
    entry = {
        "id": scene.me.id,
        "username": scene.me.username,
        "level": scene.me.level,
        "pnl": 0.02,
        "regularPnl": 0.02,
        "sidebetPnl": 0,
        "shortPnl": 0,
        "pnlPercent": 3.1,
        "hasActiveTrades": True,
        "positionQty": 0.08,
        "avgCost": 1.3,
        "totalInvested": 0.1,
        "position": 14,
        "selectedCoin": None,
        "sidebetActive": True,
        "sideBet": side_bet(scene),
        "shortPosition": None,
    }
    payload = {"gameId": scene.game_id, "leaderboardEntry": entry, "rugpool": pool(scene)}
    quiet = {"gameId": scene.game_id, "rugpool": pool(scene), "trades": []}
    return [Message("gameStatePlayerUpdate", [payload]), Message("gameStatePlayerUpdate", [quiet])]


def _own_bet(scene: Scene, **more: Any) -> dict[str, Any]:
    return {
        "playerId": scene.me.id,
        "username": scene.me.username,
        "gameId": scene.game_id,
        "betAmount": 0.01,
        "xPayout": 5,
        "coinAddress": COIN,
        "startTick": scene.tick,
        "endTick": scene.tick + 40,
        "tickIndex": scene.tick,
        "price": scene.price,
        "level": scene.me.level,
        "timestamp": scene.ms,
        "type": "placed",
        **more,
    }


def orders(scene: Scene) -> list[Message]:
    result = _own_bet(scene, type="payout", payout=0.05, profit=0.04)
    return [
        Message("buyOrder", [{"amount": 0.1}], is_sent=True),
        Message("requestSidebet", [{"amount": 0.01, "betSize": 0.01, "target": 10}], is_sent=True),
        scene.traced("currentSidebet", _own_bet(scene)),
        Message("sellOrder", [{"percentage": 100}], is_sent=True),
        scene.traced("currentSidebetResult", result),
        Message("ping", [{"lastPing": 41}], is_sent=True),
    ]


def acknowledgements(scene: Scene) -> list[Message]:
    answer = {"success": True, "executedPrice": scene.price, "timestamp": scene.ms, "message": "order filled"}
    placed = {"success": True, "timestamp": scene.ms, "message": "side bet placed", "sidebet": _own_bet(scene)}
    return [Message(ACK, [answer]), Message(ACK, [placed])]


def rug_pass(scene: Scene) -> list[Message]:
    quest = {"questId": "play5", "questType": "daily", "description": "Play five games", "gems": 15}
    return [scene.traced("rugPassQuestCompleted", quest)]


def documented(scene: Scene) -> list[Message]:
    """Events that documents name, and few have seen."""
    answer = {"success": True, "executedPrice": scene.price}
    more = {"timestamp": scene.ms, "message": "order filled"}
    return [
        Message("sidebet", [{"betSize": 0.01, "target": 10}], is_sent=True),
        scene.traced("success", {**answer, **more}),
        *(scene.traced(name, answer) for name in ("buyOrderResponse", "sellOrderResponse")),
        scene.traced("sidebetResponse", {**answer, "sidebet": _own_bet(scene)}),
        *(scene.lost(name) for name in ("globalSidebets", "godCandle50xUpdate", "rugpassQuestCompleted")),
    ]
