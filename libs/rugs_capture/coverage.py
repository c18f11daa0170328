"""How much of a period was really recorded, source by source, and what is missing between.

A source recorded while one of its sessions was open: from the session's first event to its
last. What the session's own `gap` events tell of is taken out. Where nothing was recorded,
the gap says why, as far as anybody knows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from rugs_capture.intervals import Interval, clip, length, overlap, subtract, union
from rugs_lake.reader import Lake

UNKNOWN: Final = "nothing was captured"
NOT_LIVE: Final = ("import", "replay", "manual")
"""Sources that recorded nothing when it happened, or by chance: they count only if they are asked for."""

_DAY: Final = dt.timedelta(days=1)
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_ENDINGS: Final = ("source_disconnected", "disconnect")
"""Events whose reason says why a session ended."""


class Session(NamedTuple):
    """One recording session: its first and last event, and why it ended, where it says so. Microseconds, UTC."""

    session_id: str
    first: int
    last: int
    events: int = 0
    ended: str | None = None


class Loss(NamedTuple):
    """What a `gap` event tells: that its session may miss events between two times, and why.

    Attributes:
        before: when the session's last event before the gap came; None if there was none. A
            crash says a time from which on something may be missing: what came after it did not.
    """

    session_id: str
    since: int
    until: int
    cause: str
    before: int | None = None


class Gap(NamedTuple):
    """A time in which nothing was recorded, or not all, and why."""

    since: int
    until: int
    cause: str


@dataclass(frozen=True)
class Coverage:
    """What one source recorded between `start` and `end`. `recorded` and `gaps` together are the whole period."""

    source: str
    start: int
    end: int
    recorded: list[Interval] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    sessions: int = 0
    events: int = 0

    @property
    def seconds(self) -> float:
        """How long it recorded."""
        return length(self.recorded) / 1e6

    @property
    def share(self) -> float:
        """Which part of the period it recorded, from 0 to 1."""
        return length(self.recorded) / (self.end - self.start)


def coverage(source: str, sessions: Sequence[Session], losses: Sequence[Loss], start: int, end: int) -> Coverage:
    """Return what a source recorded between two times, microseconds, UTC; `end` is outside.

    Raises:
        ValueError: if the period is empty.
    """
    if start >= end:
        raise ValueError("the period is empty")
    lost: dict[str, list[Interval]] = {}
    for loss in losses:
        lost.setdefault(loss.session_id, []).append(_lost(loss))
    recorded: list[Interval] = []
    for session in sessions:
        recorded += subtract([(session.first, session.last)], lost.get(session.session_id, []))
    whole = clip(recorded, start, end)
    missing = subtract([(start, end)], whole)
    gaps = [Gap(since, until, _cause((since, until), sessions, losses)) for since, until in missing]
    inside = [session for session in sessions if session.first < end and session.last >= start]
    return Coverage(source, start, end, whole, gaps, len(inside), sum(session.events for session in inside))


def _lost(loss: Loss) -> Interval:
    return (loss.since if loss.before is None else max(loss.since, loss.before), loss.until)


def _cause(gap: Interval, sessions: Iterable[Session], losses: Iterable[Loss]) -> str:
    """Say why there is a gap: the loss that explains most of it, else the end of the session before it."""
    told = max(losses, key=lambda loss: (overlap(gap, _lost(loss)), -loss.since), default=None)
    if told is not None and overlap(gap, _lost(told)) > 0:
        return told.cause
    ended = [session.ended for session in sessions if session.last == gap[0] and session.ended]
    return f"disconnected: {ended[0]}" if ended else UNKNOWN


def read(lake: Lake, start: int, end: int, source: str | None = None) -> list[Coverage]:
    """Return what each source recorded between two times; of one source, also if it recorded nothing.

    Raises:
        ValueError: if the period is empty.
    """
    days = {"first": _day(start) - _DAY, "last": _day(end) + _DAY}
    sessions: dict[str, list[Session]] = {} if source is None else {source: []}
    losses: dict[str, list[Loss]] = {}
    for name, *session in lake.sql(_SESSIONS, {**days, "endings": list(_ENDINGS)}).fetchall():
        if source is None and name not in NOT_LIVE:
            sessions.setdefault(name, []).append(Session(*session))
        elif name == source:
            sessions[name].append(Session(*session))
    for name, *loss in lake.sql(_LOSSES, days).fetchall():
        losses.setdefault(name, []).append(Loss(*loss))
    return [coverage(name, told, losses.get(name, []), start, end) for name, told in sorted(sessions.items())]


def picture(recorded: Iterable[Interval], start: int, end: int, width: int) -> str:
    """Return a bar of `width` characters: full where all was recorded, a dot where nothing was."""
    whole = union(recorded)
    cells = []
    for place in range(width):
        cell = (start + (end - start) * place // width, start + (end - start) * (place + 1) // width)
        share = length(clip(whole, *cell)) / max(cell[1] - cell[0], 1)
        cells.append("█" if share >= 0.999 else "·" if share == 0 else "░▒▓"[min(int(share * 3), 2)])
    return "".join(cells)


def _day(micros: int) -> dt.date:
    return (_EPOCH + dt.timedelta(microseconds=micros)).date()


_CAME: Final = "epoch_us(coalesce(recv_ts, ts))"
_OWN: Final = "cause IS NULL AND NOT (doc_type = 'system_event' AND event = 'gap') AND date BETWEEN $first AND $last"
"""What came itself: not what was derived from it, and not what tells of what did not come."""

_FIRST: Final = f"""CASE WHEN bool_or(doc_type = 'system_event' AND event = 'source_connecting')
    THEN coalesce(min({_CAME}) FILTER (doc_type = 'system_event' AND event = 'source_connected'), max({_CAME}))
    ELSE min({_CAME}) END"""
"""A session recorded from when it was connected; one that never was has recorded nothing."""

_SESSIONS: Final = f"""
SELECT source, session_id, {_FIRST}, max({_CAME}), count(*),
    max_by(coalesce(reason, event), seq) FILTER (doc_type = 'system_event' AND list_contains($endings, event))
FROM events WHERE {_OWN} GROUP BY source, session_id ORDER BY 3, 2
"""  # noqa: S608 - our own text

_LOSSES: Final = f"""
WITH told AS (
    SELECT source, session_id, seq, json_extract_string(extra, ['$.since', '$.until', '$.cause', '$.first_seq']) AS said
    FROM system_event WHERE event = 'gap' AND date BETWEEN $first AND $last
),
losses AS (
    SELECT source, session_id, TRY_CAST(said[1] AS BIGINT) AS since, TRY_CAST(said[2] AS BIGINT) AS until,
        coalesce(said[3], 'unknown') AS why, coalesce(TRY_CAST(said[4] AS BIGINT), seq) AS first_lost
    FROM told
),
came AS (SELECT source, session_id, seq, {_CAME} AS came_us FROM events WHERE {_OWN})
SELECT losses.source, losses.session_id, since, until, why, came_us
FROM losses ASOF LEFT JOIN came
    ON came.source = losses.source AND came.session_id = losses.session_id AND came.seq < first_lost
WHERE since IS NOT NULL AND until IS NOT NULL ORDER BY since, until
"""  # noqa: S608 - our own text
