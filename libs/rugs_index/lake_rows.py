"""The lake's rows by scope, up to a position: one snapshot, few queries for many scopes, memory that is bounded."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import duckdb
import pyarrow as pa

import rugs_lake
from rugs_index.chunkers.session import KEPT_EVENTS, KEPT_OUTAGES, KEPT_RECORDINGS, Outage, SessionFacts
from rugs_index.rows import COLUMNS, ORDER, StoredRow, base_name, stored_rows
from rugs_index.scopes import HOUR_US, Scope, game, hour, session
from rugs_lake.store.catalog import reading_catalog
from rugs_lake.store.positions import Position, incarnations
from rugs_proto.subjects import EVENTS_STREAM

ScopeRows = Iterator[tuple[Scope, Iterator[StoredRow]]]
"""Scopes, each with its rows in their order; the rows of one must be read before the next scope is asked for."""

_BATCH_ROWS: Final = 4096
_RAW_ROWS: Final = 256
"""Rows that are in memory at a time; with their bytes, one may have 32 MiB."""
_MEMORY: Final = "512MB"
"""What a sort may take; beyond it goes to a temporary folder."""


class LakeRows:
    """The rows of one snapshot of the lake, up to a position. Not for several threads at once.

    Args:
        games, sessions, dates: what will be asked, as `rugs_lake.open` takes them: then less need be opened.

    Raises:
        LakeAbsentError, LakeUnavailableError, LakeIncompatibleError: if the lake cannot be read.
    """

    def __init__(
        self,
        root: Path,
        position: Position,
        *,
        games: Collection[str] | None = None,
        sessions: Collection[tuple[str, str]] | None = None,
        dates: tuple[dt.date, dt.date] | None = None,
    ) -> None:
        with reading_catalog(root) as catalog:
            numbers = incarnations(catalog.connection, EVENTS_STREAM)
        before = [name for number, name in numbers.items() if number < position.incarnation]
        self._told = {"before": before, "last": numbers.get(position.incarnation, ""), "seq": position.seq}
        self._lake = rugs_lake.open(root, games=games, sessions=sessions, dates=dates)
        self._spill = tempfile.TemporaryDirectory(prefix="rugs-index-")
        connection = self._lake.connection
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute("SET temp_directory = ?", [self._spill.name])
        connection.execute("SET preserve_insertion_order = false")

    def scopes(self) -> Iterator[Scope]:
        """Give every scope that has a row."""
        for (game_id,) in self._tuples(_GAMES):
            yield game(game_id)
        for source, session_id in self._tuples(_SESSIONS):
            yield session(source, session_id)
        for each in self._tuples(_HOURS):
            yield hour(*each)

    def of_games(self, scopes: Sequence[Scope]) -> ScopeRows:
        """Give those of some games that have rows, each with its rows."""
        self._want(game_id=[each.game_id for each in scopes])
        for game_id, rows in groupby(self._rows(_OF_GAMES), key=lambda row: row.game_id or ""):
            yield game(game_id), rows

    def of_hours(self, scopes: Sequence[Scope]) -> ScopeRows:
        """Give those of some hours of sessions that have rows without a game, each with its rows."""
        self._want(
            source=[each.source for each in scopes],
            session_id=[each.session_id for each in scopes],
            hour=[each.hour for each in scopes],
        )
        rows = self._rows(_OF_HOURS)
        for key, group in groupby(rows, key=lambda row: (row.source, row.session_id, row.ts // HOUR_US)):
            yield hour(*key), group

    def of_sessions(self, scopes: Sequence[Scope], counts: Callable[[str], bool]) -> dict[Scope, list[SessionFacts]]:
        """Return what the rows of some sessions say: the public ones first, then those of each owner.

        Args:
            counts: whether events of a name count.
        """
        self._want(source=[each.source for each in scopes], session_id=[each.session_id for each in scopes])
        ignored = {"ignored": [name for (name,) in self._tuples(_NAMES) if not counts(name)]}
        events: defaultdict[tuple[Any, ...], dict[str, int]] = defaultdict(dict)
        for *key, event, count in self._tuples(_EVENTS, ignored):
            events[tuple(key)][event] = count
        notes = {tuple(row[:2]): row[2:] for row in self._tuples(_NOTES)}
        outages: defaultdict[tuple[str, str], list[Outage]] = defaultdict(list)
        for source, session_id, *times in self._tuples(_OUTAGES):
            outages[source, session_id].append(Outage(*times))
        found: defaultdict[Scope, list[SessionFacts]] = defaultdict(list)
        for source, session_id, owner, files, *totals in self._tuples(_TOTALS, ignored):
            counted = events[source, session_id, owner]
            facts = SessionFacts(source, session_id, owner, *totals)
            facts = replace(facts, events=counted, recordings=sorted(set(map(base_name, files or ()))))
            if owner is None:
                url, page, reason = notes.get((source, session_id), (None, None, None))
                facts = replace(facts, url=url, page=page, reason=reason, outages=outages[source, session_id])
            found[session(source, session_id)].append(facts)
        return found

    def raws(self, ids: Sequence[str]) -> Iterator[tuple[str, str | bytes | None]]:
        """Give what was received of some rows, by their ids, some at a time, in no order.

        Rows of scopes may be half read meanwhile.
        """
        if ids:
            with self._lake.connection.cursor() as cursor:
                for batch in self._batches(_RAWS, _RAW_ROWS, {"ids": list(ids)}, cursor):
                    yield from ((id_, text if text is not None else data) for id_, text, data in _as_tuples(batch))

    def close(self) -> None:
        """Close the snapshot."""
        self._lake.close()
        self._spill.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _want(self, **columns: Sequence[str | int]) -> None:
        """Make the table `wanted`, whose rows are the scopes that are asked for."""
        self._lake.connection.register("wanted", pa.table({name: pa.array(values) for name, values in columns.items()}))

    def _rows(self, query: str) -> Iterator[StoredRow]:
        for batch in self._batches(query, _BATCH_ROWS, {}):
            yield from stored_rows(batch)

    def _tuples(self, query: str, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return [row for batch in self._batches(query, _BATCH_ROWS, values or {}) for row in _as_tuples(batch)]

    def _batches(
        self, query: str, rows: int, values: dict[str, Any], connection: duckdb.DuckDBPyConnection | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Give what a query returns, some rows at a time.

        Args:
            connection: one that has no open result; by default the lake's own, which has the table `wanted`.

        Raises:
            FilesGoneError: if files were deleted while they were read: ask again.
        """
        try:
            asked = (connection or self._lake.connection).sql(query, params={**self._told, **values})
            reader: Any = asked.to_arrow_reader(rows)
            yield from reader
        except (duckdb.IOException, pa.ArrowException) as error:
            raise self._lake.explain(error) from error


def _as_tuples(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)


_IS_BELOW: Final = "(incarnation IN (SELECT unnest($before)) OR (incarnation = $last AND stream_seq <= $seq))"
_HOUR: Final = f"epoch_us(ts) // {HOUR_US}"
_SELECT: Final = ", ".join("epoch_us(ts) AS ts" if name == "ts" else name for name in COLUMNS)
_IS_DERIVED: Final = "(cause IS NOT NULL AND doc_type NOT IN ('ws_event', 'player_action'))"
"""What is read out of a document is an event of its own, though it has a cause."""
_IS_MESSAGE: Final = "session_id LIKE 'stream:%'"
"""Rejects of messages belong to no session: see `scopes.dirty_by_rows`."""

_GAMES: Final = f"SELECT DISTINCT game_id FROM events WHERE game_id IS NOT NULL AND {_IS_BELOW}"  # noqa: S608
_SESSIONS: Final = f"""
SELECT source, session_id FROM events WHERE {_IS_BELOW}
UNION SELECT source, session_id FROM reject WHERE {_IS_BELOW} AND NOT {_IS_MESSAGE}
"""  # noqa: S608 - our own text
_HOURS: Final = f"""
SELECT DISTINCT source, session_id, {_HOUR} FROM events WHERE game_id IS NULL AND {_IS_BELOW}
"""  # noqa: S608 - our own text
_OF_GAMES: Final = f"""
SELECT {_SELECT} FROM events WHERE game_id IN (SELECT game_id FROM wanted) AND {_IS_BELOW} ORDER BY game_id, {ORDER}
"""  # noqa: S608 - our own text
_OF_HOURS: Final = f"""
SELECT {_SELECT} FROM events SEMI JOIN wanted USING (source, session_id)
WHERE game_id IS NULL AND (source, session_id, {_HOUR}) IN (SELECT (source, session_id, hour) FROM wanted)
    AND {_IS_BELOW}
ORDER BY source, session_id, {_HOUR}, {ORDER}
"""  # noqa: S608 - our own text
_RAWS: Final = f"""
SELECT id, raw, raw_bin FROM events WHERE id IN (SELECT unnest($ids)) AND {_IS_BELOW}
"""  # noqa: S608 - our own text

_NAMES: Final = f"""
SELECT DISTINCT event FROM events SEMI JOIN wanted USING (source, session_id) WHERE {_IS_BELOW}
"""  # noqa: S608 - our own text
_IS_COUNTED: Final = "event NOT IN (SELECT unnest($ignored))"
_TOTALS: Final = f"""
WITH told AS (
    SELECT source, session_id, owner, epoch_us(ts) AS at_us, event, game_id, origin_file, {_IS_DERIVED} AS is_derived,
        false AS is_reject
    FROM events SEMI JOIN wanted USING (source, session_id) WHERE {_IS_BELOW}
    UNION ALL
    SELECT source, session_id, NULL, epoch_us(ts), NULL, NULL, origin_file, false, true
    FROM reject SEMI JOIN wanted USING (source, session_id) WHERE {_IS_BELOW} AND NOT {_IS_MESSAGE}
)
SELECT source, session_id, owner, list(DISTINCT origin_file ORDER BY origin_file)
        FILTER (origin_file IS NOT NULL)[:{KEPT_RECORDINGS}],
    min(at_us), max(at_us), count(*) FILTER (NOT is_derived AND NOT is_reject AND {_IS_COUNTED}),
    count(DISTINCT event) FILTER (NOT is_derived AND {_IS_COUNTED}), count(*) FILTER (is_derived),
    count(DISTINCT game_id),
    count(*) FILTER (is_reject)
FROM told GROUP BY source, session_id, owner ORDER BY source, session_id, owner NULLS FIRST
"""  # noqa: S608 - our own text
_EVENTS: Final = f"""
SELECT source, session_id, owner, event, count(*) AS count
FROM events SEMI JOIN wanted USING (source, session_id)
WHERE {_IS_BELOW} AND NOT {_IS_DERIVED} AND {_IS_COUNTED}
GROUP BY source, session_id, owner, event
QUALIFY row_number() OVER (PARTITION BY source, session_id, owner ORDER BY count DESC, event) <= {KEPT_EVENTS}
"""  # noqa: S608 - our own text
_NOTES: Final = f"""
SELECT source, session_id, min(url), min(page), max_by(reason, (seq, id)) FILTER (event IN
    ('source_disconnected', 'disconnect'))
FROM (
    SELECT source, session_id, seq, id, event, reason, json_extract_string(extra, '$.url') AS url,
        json_extract_string(extra, '$.page') AS page
    FROM system_event SEMI JOIN wanted USING (source, session_id)
    WHERE event IN ('source_connecting', 'source_connected', 'source_disconnected', 'disconnect') AND {_IS_BELOW}
)
GROUP BY source, session_id
"""  # noqa: S608 - our own text
_OUTAGES: Final = f"""
SELECT source, session_id, since, until, cause FROM (
    SELECT source, session_id, TRY_CAST(said[1] AS BIGINT) AS since, TRY_CAST(said[2] AS BIGINT) AS until,
        said[3] AS cause
    FROM (
        SELECT source, session_id, json_extract_string(extra, ['$.since', '$.until', '$.cause']) AS said
        FROM system_event SEMI JOIN wanted USING (source, session_id) WHERE event = 'gap' AND {_IS_BELOW}
    )
) WHERE since <= until
QUALIFY row_number() OVER (PARTITION BY source, session_id ORDER BY since, until, cause) <= {KEPT_OUTAGES}
ORDER BY source, session_id, since, until, cause
"""  # noqa: S608 - our own text
"""As the view `outage` has them, but each with the session that reports it."""
