"""Games that were recorded twice: the same ticks, told by more than one recording. All of them stay.

A recording is an old file, a document, or a session of live capture. It is the meaning that is compared, not the
bytes: game, tick, phase as it should be, and whether it rugged. What only prices tell of, as documents do, are ticks in
play. What an old recorder made up is left out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import duckdb

import rugs_lake
from rugs_lake import LakeError

_MEMORY: Final = "100MB"
"""Of DuckDB, however many ticks there are: the rest is spilled."""
_REPEATED: Final = """
WITH wanted AS (SELECT unnest(?) AS session_id),
games AS (SELECT DISTINCT game_id FROM game_tick SEMI JOIN wanted USING (session_id) WHERE game_id IS NOT NULL),
told AS (
    SELECT game_id, tick, coalesce(extra->>'$.phase_read', phase, if(tick = 0, 'GAME_ACTIVATION', 'ACTIVE_GAMEPLAY'))
        AS phase, coalesce(rugged, false) AS rugged, source, session_id, min(origin_file) AS file
    FROM game_tick SEMI JOIN games USING (game_id)
    WHERE is_filler IS NOT TRUE
    GROUP BY ALL
),
marked AS (
    SELECT game_id, source, session_id, file, count(*) OVER same AS tellers, row_number() OVER same AS teller
    FROM told WINDOW same AS (PARTITION BY game_id, tick, phase, rugged)
)
SELECT game_id, source, session_id, min(file), count(*), count_if(tellers > 1), count_if(tellers > 1 AND teller = 1)
FROM marked
WHERE game_id IN (SELECT game_id FROM marked WHERE tellers > 1)
GROUP BY ALL
ORDER BY game_id, 4 NULLS LAST, source, session_id
"""


def repeated_games(root: Path, sessions: Collection[str]) -> list[dict[str, Any]]:
    """Return the games that recordings share with others in the lake, those with the most repeated ticks first.

    Each is `{"game_id", "repeated", "files": [{"file", "source", "session_id", "ticks", "repeated"}]}`: how many
    different ticks a recording tells, and how many of these another one tells, too. `repeated` of a game counts a tick
    once. `file` is null for what no file tells: a live capture, by its source.

    Args:
        root: of the data.
        sessions: the recordings that are asked about; the others are any in the lake.

    Raises:
        LakeError: if there is no lake, or it cannot be asked.
    """
    with rugs_lake.open(root) as lake, tempfile.TemporaryDirectory(prefix="rugs-repeated-") as spill:
        lake.connection.execute(f"SET memory_limit = '{_MEMORY}'")
        lake.connection.execute("SET threads = 1")  # each has buffers of its own; with one it is faster, too
        lake.connection.execute("SET temp_directory = ?", [spill])
        try:
            rows = lake.sql(_REPEATED, [list(sessions)]).fetchall()
        except duckdb.Error as error:
            raise LakeError(f"which games are in more than one recording cannot be looked up: {error}") from error
    games: dict[str, dict[str, Any]] = {}
    for game_id, source, session_id, file, ticks, repeated, first in rows:
        game = games.setdefault(game_id, {"game_id": game_id, "repeated": 0, "files": []})
        told = {"file": file, "source": source, "session_id": session_id, "ticks": ticks, "repeated": repeated}
        game["files"].append(told)
        game["repeated"] += first
    return sorted(games.values(), key=lambda game: (-game["repeated"], game["game_id"]))
