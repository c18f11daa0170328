"""Games in the lake: their columns, which rows are a player's own, each tick once, and how complete each game is."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rugs_lake.domains.domain import BOOL, INT, REAL, TEXT, Domain, FieldType, Private
from rugs_proto.domains.games import GAMES as CONTRACT

COLUMNS: Final[dict[str, FieldType]] = {
    "price": REAL,
    "tick": INT,
    "phase": TEXT,
    "active": BOOL,
    "rugged": BOOL,
    "cooldown_timer": INT,
    "trade_count": INT,
    "is_filler": BOOL,
    "filled": BOOL,
    "cash": REAL,
    "position_qty": REAL,
    "avg_cost": REAL,
    "total_invested": REAL,
    "cumulative_pnl": REAL,
    "amount": REAL,
    "action": TEXT,
    "reason": TEXT,
}

PRIVATE_EVENTS: Final = frozenset(
    {
        # What the feed tells one player.
        *("playerUpdate", "gameStatePlayerUpdate", "usernameStatus", "authenticate", "checkUsername"),
        *("inboxMessages", "mutedPlayers", "playerCosmetics", "getPlayerCosmetics", "rugpassStatus"),
        *("playerLeaderboardPosition", "getPlayerLeaderboardPosition", "rugPassQuestCompleted"),
        # What a player orders, and the answers. The answer to an emitted event has no name: it goes by its packet.
        *("buyOrder", "buyOrderResponse", "sellOrder", "sellOrderResponse", "success", "ack", "binary_ack"),
        *("requestSidebet", "sidebet", "sidebetResponse", "currentSidebet", "currentSidebetResult"),
    }
)
"""Frames that concern one player alone; every other received frame is the same for all who watch."""

LAST_TICK: Final = 100_000
"""No game is as long: a tick above it is none."""

_TICKS: Final = f"game_id IS NOT NULL AND tick BETWEEN 0 AND {LAST_TICK} AND is_filler IS NOT TRUE"

_ECHO: Final = "phase IS NOT DISTINCT FROM 'RUG_EVENT_1'"
"""The frame after a rug, as the old recorders called it: the count has gone on, the game and its price have not."""

TICK: Final = f"""
SELECT * FROM game_tick WHERE {_TICKS} AND NOT ({_ECHO})
QUALIFY row_number() OVER (
    PARTITION BY game_id, tick ORDER BY filled IS TRUE, rugged IS TRUE DESC, ts DESC, source, id
) = 1
"""  # noqa: S608 - our own text
"""Each tick of each game once, whoever told of it: the exact one before a filled one, of a tick told in several
phases the latest. What an old recorder made up is left out, and the frame after a rug, which is no tick of its own.
Columns: those of `game_tick`."""


def completeness(which: str = "true") -> str:
    """Return a query that says of each game how many of its ticks were received, filled in, and are missing.

    One row a game, from ticks and completed games alike: `game_id`, `first_ts`, `last_ts`, `sources`, `ended` (whether
    its last tick is known to be its last), `rugged`, `last_tick`, `peak`, `direct`, `filled`, `missing` (counts of the
    ticks 0 to `last_tick`), `missing_ticks` (runs of them, first and last), `complete`, and `history_prices`: how many
    prices its history tells, which are in `extra` of its row in `game`, and no ticks. A game's last tick is what its
    history says; else the first rugged one; else, while it goes on, the last one known. The frame after a rug counts as
    none, wherever it came from: it only says that the game has rugged.

    `which` is a condition that rows of the views `game_tick` and `game` must meet.
    """
    return f"""
WITH told AS (
    SELECT game_id, tick, bool_and({_ECHO}) AS is_echo, bool_or({_ECHO}) AS echoed,
        bool_or(filled IS NOT TRUE AND NOT ({_ECHO})) AS direct, bool_or(rugged IS TRUE AND NOT ({_ECHO})) AS rugged,
        max(price) AS price, min(ts) AS first_ts, max(ts) AS last_ts, list(DISTINCT source) AS sources
    FROM game_tick WHERE {_TICKS} AND ({which}) GROUP BY game_id, tick
),
seen AS (
    SELECT game_id, min(tick) FILTER (rugged) AS rug, max(tick) FILTER (NOT is_echo) AS top, bool_or(echoed) AS echoed,
        min(first_ts) AS first_ts, max(last_ts) AS last_ts, list_sort(list_distinct(flatten(list(sources)))) AS sources
    FROM told GROUP BY game_id
),
history AS (
    SELECT game_id, max(TRY_CAST(said[1] AS BIGINT)) FILTER (TRY_CAST(said[1] AS BIGINT) BETWEEN 0 AND {LAST_TICK})
        AS last_tick, max(TRY_CAST(said[2] AS DOUBLE)) AS peak, bool_or(rugged) AS rugged, min(ts) AS ts,
        list(DISTINCT source) AS sources, max(prices) AS prices
    FROM (
        SELECT game_id, rugged, ts, source, json_extract(extra, ['$.last_tick', '$.peak_multiplier']) AS said,
            json_array_length(extra, '$.prices') AS prices
        FROM game WHERE game_id IS NOT NULL AND ({which})
    ) GROUP BY game_id
),
games AS (SELECT game_id FROM told UNION SELECT game_id FROM history),
ends AS (
    SELECT game_id, coalesce(history.last_tick, rug, top) AS last_tick,
        coalesce(history.last_tick, rug) IS NOT NULL AS ended,
        rug IS NOT NULL OR echoed IS TRUE OR history.rugged IS TRUE AS rugged,
        history.peak, coalesce(first_ts, history.ts) AS first_ts, coalesce(last_ts, history.ts) AS last_ts,
        coalesce(seen.sources, history.sources) AS sources, coalesce(history.prices, 0) AS history_prices
    FROM games LEFT JOIN seen USING (game_id) LEFT JOIN history USING (game_id)
),
present AS (SELECT told.* FROM told JOIN ends USING (game_id) WHERE tick <= last_tick AND NOT is_echo),
runs AS (
    SELECT game_id, list({{'first': before + 1, 'last': tick - 1}} ORDER BY tick) FILTER (tick > before + 1) AS missing
    FROM (
        SELECT game_id, tick, lag(tick, 1, -1) OVER (PARTITION BY game_id ORDER BY tick) AS before
        FROM (SELECT game_id, tick FROM present UNION ALL SELECT game_id, last_tick + 1 FROM ends)
    ) GROUP BY game_id
),
counts AS (
    SELECT game_id, count(*) FILTER (direct) AS direct, count(*) FILTER (NOT direct) AS filled, max(price) AS peak
    FROM present GROUP BY game_id
)
SELECT game_id, first_ts, last_ts, sources, ended, rugged, last_tick, coalesce(ends.peak, counts.peak) AS peak,
    coalesce(direct, 0) AS direct, coalesce(filled, 0) AS filled,
    coalesce(last_tick + 1 - coalesce(direct, 0) - coalesce(filled, 0), 0) AS missing,
    coalesce(runs.missing, []) AS missing_ticks,
    ended AND last_tick + 1 = coalesce(direct, 0) + coalesce(filled, 0) AS complete, history_prices
FROM ends LEFT JOIN counts USING (game_id) LEFT JOIN runs USING (game_id)
"""  # noqa: S608 - our own text


_OF_A_PLAYER: Final = Private(owner="player_id", by_session=True)

GAMES: Final = Domain(
    contract=CONTRACT,
    columns=COLUMNS,
    views={"tick": TICK, "game_completeness": completeness()},
    private={
        "player_action": _OF_A_PLAYER,
        "server_state": _OF_A_PLAYER,
        "ws_event": replace(_OF_A_PLAYER, directions=frozenset({"sent"}), events=PRIVATE_EVENTS),
    },
)
