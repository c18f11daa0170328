"""Coverage of what the lake holds: SQL finds the pieces of each session, so no row comes into Python.

Which events prove that a session recorded depends on its source:

- `public_ws` and `cdp` watch a connection that pings: what it received counts, and a session is split where more
  than pingInterval + pingTimeout lies between two such frames. The session's own Engine.IO `open` packet says both,
  in milliseconds; where there is none, they are 25 s and 20 s. Notes about a connection prove nothing: a session that
  received nothing has recorded nothing.
- So does any source with a name of its own whose sessions begin with `source_connecting`: a feed of `RUGS_FEEDS`.
- Any other source (`ui`, `bot`, `manual`, `replay`, `import`) brings events when somebody does something, and a
  silence of hours is no outage: such a session recorded from its first event to its last.

Events stand in the order of their numbers. Where the time goes back from one to the next, the clock was set back,
and a new piece begins. A clock set ahead shows by its `clock_step` event: the old piece ends at the time that the old
clock showed, and the next one begins at that of the new clock.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Final

import rugs_lake
from rugs_core.time import DAY_US, date_of, now_us
from rugs_lake.read.reader import Lake
from rugs_proto.rules import SOURCES
from rugs_query.coverage import Coverage, Loss, Session, Step, coverage
from rugs_query.intervals import Interval

NOT_LIVE: Final = ("import", "replay", "manual")
"""Sources that recorded nothing when it happened, or by chance: they count only if they are asked for."""
PINGED: Final = ("cdp", "public_ws")
"""Sources whose sessions are connections that ping, beside feeds with names of their own."""
SILENCE_US: Final = 45_000_000
"""How long such a connection may be silent where it does not say so itself: Socket.IO's defaults, 25 s and 20 s."""
_LONGEST_SILENCE_US: Final = DAY_US
_NOTES: Final = (
    "gap", "clock_step", "source_connecting", "source_connected", "source_disconnected", "beginning_missed",
)  # fmt: skip
"""System events that say something of a session, and prove nothing."""

_DAY: Final = dt.timedelta(days=1)


def read(root: Path, start: int, end: int, source: str | None = None, *, now: int | None = None) -> list[Coverage]:
    """Return what each source recorded between two times; of one source, also if it recorded nothing.

    The future is no outage: the period ends at `now` at the latest (microseconds, UTC).

    Raises:
        ValueError: if the period is empty, or has not begun yet.
        LakeError: if there is no lake under the data root, or it cannot be read.
    """
    end = min(end, now_us() if now is None else now)
    if start >= end:
        raise ValueError("the period is empty: it begins in the future")
    days = {"first": date_of(start) - _DAY, "last": date_of(end) + _DAY}

    def found(query: str) -> dict[str, list[list[Any]]]:
        rows: dict[str, list[list[Any]]] = {}
        values = {**days, "source": source, "pinged": pinged}
        used = {name: value for name, value in values.items() if f"${name}" in query}
        for name, *row in lake.sql(query, used).fetchall():
            rows.setdefault(name, []).append(row)
        return rows

    with rugs_lake.open(root, dates=(days["first"], days["last"])) as lake:
        pinged = [*PINGED, *_other_connections(root, lake, days)]
        pieces, losses, steps = found(_SESSIONS), found(_LOSSES), found(_STEPS)
    names = {*pieces} if source is None else {source}
    return [
        coverage(
            name,
            [_session(*row) for row in pieces.get(name, [])],
            [Loss(*row) for row in losses.get(name, [])],
            start,
            end,
            [Step(*row) for row in steps.get(name, [])],
        )
        for name in sorted(names)
    ]


def _other_connections(root: Path, lake: Lake, days: dict[str, dt.date]) -> list[str]:
    """Return the sources with names of their own that connect to a feed. A session may have begun before the period."""
    named = [name for (name,) in lake.sql(_OTHERS, days).fetchall()]
    if not named:
        return []
    with rugs_lake.open(root, at_snapshot=lake.snapshot, doc_types=["system_event"]) as notes:
        return [name for (name,) in notes.sql(_CONNECTING, [named]).fetchall()]


def _session(
    session_id: str,
    events: int,
    firsts: list[int] | None,
    lasts: list[int] | None,
    connected: int | None,
    ended: int | None,
    reason: str | None,
) -> Session:
    """Return a session from its row."""
    pieces: list[Interval] = [*zip(firsts or [], lasts or [], strict=True)]
    return Session(session_id, pieces, events, reason, None if connected is None else (connected, ended or connected))


def _texts(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)


_OTHERS: Final = f"""
SELECT DISTINCT source FROM events WHERE date BETWEEN $first AND $last AND source NOT IN ({_texts(SOURCES)})
"""  # noqa: S608 - our own text
_CONNECTING: Final = (
    "SELECT DISTINCT source FROM system_event WHERE event = 'source_connecting' AND list_contains(?, source)"
)

_AT: Final = "epoch_us(coalesce(recv_ts, ts))"
_ASKED: Final = f"""date BETWEEN $first AND $last
    AND (source = $source OR ($source IS NULL AND source NOT IN ({_texts(NOT_LIVE)})))"""
_PROOF: Final = f"""cause IS NULL AND {_ASKED}
    AND CASE WHEN list_contains($pinged, source) THEN doc_type <> 'system_event' AND direction <> 'sent'
        ELSE doc_type <> 'system_event' OR event NOT IN ({_texts(_NOTES)}) END"""
"""What came itself, and proves that its session recorded: not what was derived from it, and no notes."""

_NEVER: Final = 2**63 - 1
"""A number that no event has."""

_STEPPED: Final = f"""
SELECT source, session_id, seq, TRY_CAST(said[1] AS BIGINT) AS old, TRY_CAST(said[2] AS BIGINT) AS new,
    said[3] IS NOT DISTINCT FROM 'all' AS everywhere
FROM (
    SELECT source, session_id, seq, json_extract_string(extra, ['$.old', '$.new', '$.sessions']) AS said
    FROM system_event WHERE event = 'clock_step' AND {_ASKED}
) WHERE old IS NOT NULL AND new IS NOT NULL
"""  # noqa: S608 - our own text

_LIMIT: Final = f"""CASE WHEN NOT list_contains($pinged, source) THEN {_NEVER}
    ELSE least(coalesce(limit_us, {SILENCE_US}), {_LONGEST_SILENCE_US}) END"""
"""How long a session may be silent, microseconds."""

_STEPS: Final = f"SELECT DISTINCT source, old, new, everywhere FROM ({_STEPPED}) ORDER BY ALL"  # noqa: S608 - our own text

_SESSIONS: Final = f"""
WITH notes AS (
    SELECT source, session_id, min({_AT}) FILTER (event = 'source_connected') AS connected,
        CASE WHEN bool_or(event = 'source_connecting')
            THEN coalesce(min(seq) FILTER (event = 'source_connected'), {_NEVER}) END AS after_seq,
        max({_AT}) FILTER (event IN ('source_disconnected', 'disconnect')) AS ended,
        max_by(coalesce(reason, event), seq) FILTER (event IN ('source_disconnected', 'disconnect')) AS reason
    FROM system_event WHERE cause IS NULL AND {_ASKED} GROUP BY ALL
),
came AS (
    SELECT source, session_id, seq, {_AT} AS at_us
    FROM events LEFT JOIN (FROM notes SELECT source, session_id, after_seq) USING (source, session_id)
    WHERE {_PROOF} AND (after_seq IS NULL OR seq > after_seq)
),
whole AS (
    SELECT source, session_id, count(*) AS events, arg_max(at_us, seq) AS last_us FROM came GROUP BY ALL
),
silence AS (
    SELECT source, session_id, max(interval_ms + timeout_ms) * 1000 AS limit_us
    FROM (
        SELECT source, session_id, TRY_CAST(said[1] AS BIGINT) AS interval_ms, TRY_CAST(said[2] AS BIGINT) AS timeout_ms
        FROM (
            SELECT source, session_id, json_extract_string(extra, ['$.ping_interval', '$.ping_timeout']) AS said
            FROM ws_event WHERE event = 'open' AND list_contains($pinged, source) AND {_ASKED}
        )
    ) WHERE interval_ms > 0 AND timeout_ms > 0 GROUP BY ALL
),
steps AS ({_STEPPED}),
stepped AS (SELECT * FROM came SEMI JOIN steps USING (source, session_id)),
marks AS (
    SELECT steps.*, last.at_us AS last_us, next.at_us AS next_us,
        next.at_us - last.at_us
            - sum(new - old) OVER (PARTITION BY steps.source, steps.session_id, last.seq) AS silence_us
    FROM steps
    ASOF JOIN stepped last ON last.source = steps.source AND last.session_id = steps.session_id AND last.seq < steps.seq
    ASOF JOIN stepped next ON next.source = steps.source AND next.session_id = steps.session_id AND next.seq > steps.seq
),
line AS (
    SELECT source, session_id, seq, 0 AS part, at_us FROM came
    UNION ALL
    SELECT source, session_id, seq, part,
        CASE WHEN silence_us > {_LIMIT} THEN if(part = 1, last_us, next_us) ELSE if(part = 1, old, new) END
    FROM marks LEFT JOIN silence USING (source, session_id), (VALUES (1), (2)) parts (part)
),
neighbours AS (
    SELECT source, session_id, seq, part, at_us,
        lag(at_us) OVER (PARTITION BY source, session_id ORDER BY seq, part) AS before_us
    FROM line
),
breaks AS (
    SELECT source, session_id, seq, part, at_us, before_us
    FROM neighbours LEFT JOIN silence USING (source, session_id)
    WHERE before_us IS NULL OR part = 2 OR at_us < before_us OR at_us - before_us > {_LIMIT}
),
pieces AS (
    SELECT source, session_id, list(at_us ORDER BY seq, part) AS firsts,
        list_append(
            coalesce(list(before_us ORDER BY seq, part) FILTER (before_us IS NOT NULL), []), any_value(last_us)
        ) AS lasts
    FROM breaks JOIN whole USING (source, session_id) GROUP BY source, session_id
)
SELECT source, session_id, coalesce(events, 0), firsts, lasts, connected, ended, reason
FROM notes FULL JOIN whole USING (source, session_id) LEFT JOIN pieces USING (source, session_id)
ORDER BY firsts[1], session_id
"""  # noqa: S608 - our own text

_LOSSES: Final = f"""
WITH told AS (
    SELECT source, session_id, seq, json_extract_string(
        extra, ['$.since', '$.until', '$.cause', '$.first_seq', '$.after_session', '$.url', '$.page']
    ) AS said
    FROM system_event WHERE event = 'gap' AND {_ASKED}
),
losses AS (
    SELECT source, coalesce(said[5], session_id) AS session_id, TRY_CAST(said[1] AS BIGINT) AS since,
        TRY_CAST(said[2] AS BIGINT) AS until, coalesce(said[3], 'unknown') AS why, said[6] AS url, said[7] AS page,
        CASE WHEN said[5] IS NULL THEN coalesce(TRY_CAST(said[4] AS BIGINT), seq) ELSE {_NEVER} END AS first_lost
    FROM told
),
came AS (
    SELECT source, session_id, seq, {_AT} AS came_us FROM events SEMI JOIN losses USING (source, session_id)
    WHERE {_PROOF}
)
SELECT losses.source, losses.session_id, since, until, why, came_us, url, page
FROM losses ASOF LEFT JOIN came
    ON came.source = losses.source AND came.session_id = losses.session_id AND came.seq < first_lost
WHERE since IS NOT NULL AND until IS NOT NULL ORDER BY since, until
"""  # noqa: S608 - our own text
