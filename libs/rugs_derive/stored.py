"""The lake's stored events, in the order in which derivation reads them: that of the stream.

A stream may have had several lives, one after the other; the lake knows them by their
incarnations. Within one, events stand by their sequence. What was itself read out of a document is none: whatever
follows from it was read out with it.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import rugs_lake
from rugs_derive.causes import Cause
from rugs_derive.position import Spans
from rugs_feed.derive import EVENTS, KEPT_GAMES, Heard
from rugs_follow.lake_reader import windows
from rugs_proto.subjects import EVENTS_STREAM

_MOST: Final = 2000
"""Events that are read at once; of ordinary ones that is some 15 MB."""
_MEMORY: Final = "512MB"
"""What sorting may take; beyond it goes to a temporary folder."""
LARGEST_BATCH: Final = 4096
"""Messages that are derived from at once, at the most."""
_RECENT: Final = 10_000
"""Derived rows that are looked at to find how far derivation had come."""

_COLUMNS: Final = (
    "id, epoch_us(ts), epoch_us(recv_ts), source, session_id, seq, direction, event, raw, raw_bin, stream_seq"
)
_DERIVED: Final = ("game_tick", "game", "server_state", "system_event")
_GAME_STATE: Final = "gameStateUpdate"


class Life(NamedTuple):
    """What one incarnation of the stream left in the lake: how many causes, between which sequences."""

    incarnation: str
    events: int
    first_seq: int
    last_seq: int


class StoredEvents:
    """One snapshot of the lake. Not for several threads at once.

    `dates`, `sessions` and `above` say what will be asked, as `rugs_lake.open` takes them: then less need be opened.

    Raises:
        LakeAbsentError: if there is no lake.
        LakeUnavailableError: if it cannot be read now.
    """

    def __init__(
        self,
        root: Path,
        *,
        dates: tuple[dt.date | None, dt.date | None] | None = None,
        sessions: Collection[tuple[str, str]] | None = None,
        above: tuple[str, int] | None = None,
    ) -> None:
        doc_types = ("ws_event", *_DERIVED)
        self._lake = rugs_lake.open(root, doc_types=doc_types, dates=dates, sessions=sessions, above=above)
        self._spill = tempfile.TemporaryDirectory(prefix="rugs-derive-")
        self._lake.connection.execute(f"SET memory_limit = '{_MEMORY}'")
        self._lake.connection.execute("SET temp_directory = ?", [self._spill.name])
        order = [row[0] for row in self._rows(_ENDED_LIVES, [EVENTS_STREAM])]
        order += [incarnation for stream, incarnation, _ in self._lake.cursors if stream == EVENTS_STREAM]
        self._order = {incarnation: rank for rank, incarnation in enumerate(order)}

    def close(self) -> None:
        """Close the snapshot."""
        self._lake.close()
        self._spill.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def lives(self, first: dt.date | None = None, last: dt.date | None = None) -> list[Life]:
        """Return the stream's lives that left causes of these days (UTC, both included), oldest first."""
        rows = self._rows(
            "SELECT incarnation, count(*), min(stream_seq), max(stream_seq) FROM ws_event"
            " WHERE cause IS NULL AND event IN (SELECT unnest($events)) AND date BETWEEN $first AND $last GROUP BY 1",
            {"events": sorted(EVENTS), **_days(first, last)},
        )
        return sorted((Life(*row) for row in rows), key=lambda life: self._rank(life.incarnation))

    def windows(
        self,
        incarnation: str,
        first_seq: int,
        last_seq: int,
        *,
        first: dt.date | None = None,
        last: dt.date | None = None,
    ) -> Iterator[list[Cause]]:
        """Give the causes between two sequences, both included, in order, a bounded number at a time."""
        told: dict[str, Any] = {"events": sorted(EVENTS), "life": incarnation, **_days(first, last)}

        def count(start: int, end: int) -> int:
            query = f"SELECT count(*) FROM ws_event WHERE {_WITHIN}"  # noqa: S608 - our own text
            return int(self._rows(query, {**told, "start": start, "end": end})[0][0])

        for start, end in windows(count, first_seq, last_seq, _MOST):
            query = f"SELECT {_COLUMNS} FROM ws_event WHERE {_WITHIN} ORDER BY stream_seq, seq"  # noqa: S608 - our own text
            yield [_cause(row) for row in self._rows(query, {**told, "start": start, "end": end})]

    def before(self, incarnation: str, source: str) -> list[Cause]:
        """Return the states of the last games that a source told of before this life of the stream, in order."""
        earlier = [known for known, rank in self._order.items() if rank < self._rank(incarnation)]
        told = {"source": source, "lives": earlier, "games": KEPT_GAMES, "event": _GAME_STATE}
        return [_cause(row)._replace(place=0) for row in self._rows(_LAST_GAMES, told)]

    def spans(self, incarnation: str, seq: int) -> Spans:
        """Return where the events of each source's last games stand, up to a sequence."""
        told = {"life": incarnation, "seq": seq, "games": KEPT_GAMES, "event": _GAME_STATE}
        found = {row[0]: (row[1] if row[3] == KEPT_GAMES else 0, row[2]) for row in self._rows(_SPANS, told)}
        if self._rank(incarnation) == 0:  # nothing came before
            return {source: (max(first, 1), last) for source, (first, last) in found.items()}
        sources = "SELECT DISTINCT source FROM ws_event WHERE cause IS NULL AND event = ?"
        earlier = [row[0] for row in self._rows(sources, [_GAME_STATE])]
        return dict.fromkeys(earlier, (0, 0)) | found

    def derived_to(self, incarnation: str) -> int:
        """Return a sequence up to which everything has been derived, as far as the lake's derived rows tell; or 0.

        What one batch gave may have come only in part, so it is one batch before the last cause.
        """
        told = {"life": incarnation, "recent": _RECENT, "batch": LARGEST_BATCH}
        (found,) = self._rows(_DERIVED_TO, told)[0]
        return 0 if found is None else int(found) - 1

    def raw(self, source: str, session_id: str, seq: int, event_id: str) -> str | bytes | None:
        """Return the bytes of one event; None if it is not there."""
        return self._lake.received("ws_event", source, session_id, seq, event_id)

    def _rank(self, incarnation: str) -> int:
        return self._order.get(incarnation, len(self._order))  # the lake may not have met it yet

    def _rows(self, query: str, values: Sequence[Any] | dict[str, Any]) -> list[tuple[Any, ...]]:
        return list(self._lake.sql(query, values).fetchall())


def _cause(row: tuple[Any, ...]) -> Cause:
    raw, raw_bin, place = row[-3:]
    return Cause(Heard._make((*row[:-3], raw if raw is not None else raw_bin)), place)


def _days(first: dt.date | None, last: dt.date | None) -> dict[str, dt.date]:
    return {"first": first or dt.date.min, "last": last or dt.date.max}


_ENDED_LIVES: Final = "SELECT incarnation FROM gap WHERE stream = ? AND last_seq IS NULL ORDER BY noted"

_WITHIN: Final = (
    "incarnation = $life AND stream_seq BETWEEN $start AND $end"
    " AND cause IS NULL AND event IN (SELECT unnest($events)) AND date BETWEEN $first AND $last"
)

_SPANS: Final = """
SELECT source, min(first_seq), max(last_seq), count(*) FROM (
    SELECT source, game_id, min(stream_seq) AS first_seq, max(stream_seq) AS last_seq
    FROM ws_event
    WHERE cause IS NULL AND event = $event AND game_id IS NOT NULL AND incarnation = $life AND stream_seq <= $seq
    GROUP BY source, game_id
    QUALIFY row_number() OVER (PARTITION BY source ORDER BY last_seq DESC) <= $games
) GROUP BY source
"""

_LAST_GAMES: Final = f"""
WITH told AS (
    SELECT * FROM ws_event
    WHERE cause IS NULL AND event = $event AND source = $source AND list_contains($lives, incarnation)
),
last AS (
    SELECT game_id, max((list_position($lives, incarnation), stream_seq)) AS seen FROM told
    WHERE game_id IS NOT NULL GROUP BY 1 ORDER BY seen DESC LIMIT $games
)
SELECT {_COLUMNS} FROM told JOIN last USING (game_id) ORDER BY list_position($lives, incarnation), stream_seq, seq
"""  # noqa: S608 - our own text

_DERIVED_TO: Final = f"""
WITH derived AS (
    {
    " UNION ALL ".join(
        f"SELECT source, session_id, seq, stream_seq FROM {doc_type} WHERE incarnation = $life AND cause IS NOT NULL"
        for doc_type in _DERIVED
    )
}
    ORDER BY stream_seq DESC LIMIT $recent
),
last AS (
    SELECT max(stream_seq) AS last_cause FROM ws_event
    WHERE cause IS NULL AND incarnation = $life
        AND (source, session_id, seq) IN (SELECT (source, session_id, seq) FROM derived)
)
SELECT min(stream_seq) FROM (
    SELECT DISTINCT stream_seq FROM ws_event, last
    WHERE cause IS NULL AND incarnation = $life AND stream_seq <= last_cause
    ORDER BY stream_seq DESC LIMIT $batch
)
"""  # noqa: S608 - our own text
