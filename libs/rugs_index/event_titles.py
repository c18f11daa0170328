"""The events of the feed in the words that a person asks with: what each is, and what of it is told first."""

from __future__ import annotations

from typing import Final

TITLES: Final = {
    "ack": "the server answers a request of the client, such as an order",
    "authenticate": "the player logs in",
    "battleEventUpdate": "battle event: players compete with practice tokens",
    "buyOrder": "the player orders to buy",
    "buyOrderResponse": "answer to a buy order",
    "chatHistory": "earlier chat messages",
    "checkUsername": "the client asks whether the player has a user name",
    "connect": "the recorder connected to the server",
    "connect_error": "connecting to the server failed",
    "currentSidebet": "the player's own side bet was accepted",
    "currentSidebetResult": "the player's own side bet won or lost",
    "disconnect": "the connection to the server ended",
    "gameNotification": "announcement to all players",
    "gameStatePlayerUpdate": "the player's own view of the running game, and the rug pool",
    "gameStateUpdate": "state of the game",
    "getLeaderboard": "the client asks for the ranking of players",
    "getPlayerCosmetics": "the client asks for the player's cosmetic items",
    "getPlayerLeaderboardPosition": "the client asks for a player's rank",
    "globalSidebets": "all active side bets",
    "godCandle50xUpdate": "god candle: a sudden huge jump of the price",
    "goldenHourDrawing": "golden hour: a prize draw of the lottery, and who won it",
    "goldenHourUpdate": "golden hour: the lottery for players of certain games",
    "inboxMessages": "messages in the player's inbox",
    "leaderboardData": "ranking of the players of a period",
    "maintenanceUpdate": "maintenance of the server",
    "mutedPlayers": "players who are muted in the chat",
    "newChatMessage": "chat message",
    "newSideBet": "a player bets that the game rugs soon (side bet)",
    "ping": "heartbeat of the connection",
    "playerCosmetics": "cosmetic items of the player's account",
    "playerLeaderboardPosition": "the player's rank among all players",
    "playerUpdate": "the player's own account: balance, position, profit and loss",
    "requestSidebet": "the player orders a side bet",
    "rugPassQuestCompleted": "the player completed a task (quest) of the rug pass",
    "rugRoyaleUpdate": "rug royale: the tournament with practice tokens",
    "rugpassStatus": "the player's rug pass: tasks and rewards",
    "rugpoolDrawing": "rug pool: a draw that pays victims of instarugs",
    "rugpoolStatus": "rug pool: the jackpot for victims of instarugs",
    "sellOrder": "the player orders to sell",
    "sellOrderResponse": "answer to a sell order",
    "sidebet": "the player orders a side bet",
    "sidebetEventUpdate": "side bet tournament: who predicts rugs best",
    "sidebetResponse": "answer to a side bet order",
    "standard/newTrade": "trade: a player buys or sells",
    "success": "an order succeeded",
    "usernameStatus": "who the logged-in player is",
}

FIRST: Final = {
    "playerUpdate": ("cash", "positionQty", "avgCost", "cumulativePnL", "sidebetPnl", "totalInvested", "levelInfo"),
    "gameStatePlayerUpdate": ("leaderboardEntry", "trades", "rugpool"),
    "goldenHourUpdate": ("status", "currentEvent", "currentGameIsGolden"),
    "goldenHourDrawing": ("winner", "winnerPlayerId", "prizeAmount", "prize", "entries"),
    "rugRoyaleUpdate": ("status", "currentEvent", "leaderboard", "finalRound"),
    "sidebetEventUpdate": ("status", "currentEvent", "leaderboard"),
    "battleEventUpdate": ("status", "currentEvent", "leaderboard", "participantCount"),
    "currentSidebetResult": ("type", "payout", "profit", "betAmount"),
    "success": ("success", "executedPrice", "message"),
    "ack": ("success", "executedPrice", "message", "sidebet"),
}
"""Keys of the payload that are told before the others."""

UNITS: Final = {
    **dict.fromkeys(
        ("amount", "betAmount", "betSize", "bonusBalance", "bonusPortion", "cash", "cumulativePnL", "payout"), " SOL"
    ),
    **dict.fromkeys(("pnl", "prize", "prizeAmount", "profit", "realPortion", "regularPnl", "rewardPerWinner"), " SOL"),
    **dict.fromkeys(("rugpoolAmount", "shortPnl", "sidebetPnl", "solPerEntry", "totalInvested", "wagered"), " SOL"),
    **dict.fromkeys(("totalPoolAmount", "totalPrizePool"), " SOL"),
    **dict.fromkeys(("entryPercentage", "percentage", "pnlPercent"), "%"),
    **dict.fromkeys(("cooldownTimer", "lastPing", "latency"), " ms"),
    **dict.fromkeys(("avgCost", "averageMultiplier", "executedPrice", "highestToday", "peakMultiplier", "price"), "x"),
    **dict.fromkeys(("godCandle2x", "godCandle10x", "godCandle50x"), "x"),
}
"""What is written behind the values of keys. A price is a multiple of the start price: 1.5x."""
