"""Events as they are read from the lake to be written again: streamed, in a total order, in bounded memory.

The order is by what events are, never by the files they lie in: so it is the same before and
after a compaction.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from rugs_legacy.line_formats.request import Format, Request

if TYPE_CHECKING:
    from rugs_lake.read.reader import Lake

PIECE_ROWS: Final = 20_000
PIECE_BYTES: Final = 16 << 20
"""Rows, and bytes of what was received, that are fetched at once."""
MEMORY: Final = "384MiB"
"""What DuckDB may take; a sort that needs more goes through the disk."""
MOST_THREADS: Final = 4
"""Each has frames of its own in memory."""
_AT_ONCE: Final = 500

COLUMNS: Final = (
    "source, session_id, seq, id, epoch_us(ts) AS ts, doc_type, event, direction, game_id, raw, raw_bin,"
    " tick, price, phase, active, rugged, cooldown_timer, trade_count"
)
_DOCUMENTS: Final = {
    Format.GAME: ("game_document", "session_document", "index_document", "session_metadata"),
    Format.RAW: ("event_array",),
}
"""Whole documents, by the format that has the lines of their kind."""
OLD_GAME_LINES: Final = (
    "source = 'import' AND cause IS NULL AND (raw IS NOT NULL OR raw_bin IS NOT NULL) AND ("
    "doc_type IN ('game_tick', 'player_action') OR doc_type = 'system_event' AND event NOT IN"
    f" {_DOCUMENTS[Format.GAME] + _DOCUMENTS[Format.RAW]})"
)
"""Lines of old files of games (F1 to F4, F6), with what stands around their ticks and actions: their bytes are the
record. What was read out of a whole document is none."""
TICKS_TOLD: Final = (
    "cause IS NULL AND game_id IS NOT NULL AND ("
    "(doc_type = 'ws_event' AND event = 'gameStateUpdate' AND direction = 'received'"
    " AND (raw IS NOT NULL OR raw_bin IS NOT NULL))"
    " OR (doc_type = 'game_tick' AND source != 'import'))"
)
"""What a game's ticks are read from: the feed's own states, and ticks that a program told of."""
FRAMES: Final = "cause IS NULL AND doc_type = 'ws_event'"


class Stored(NamedTuple):
    """A stored event. `ts` is in microseconds since the epoch, UTC; `raw` is text or, where it is none, bytes."""

    source: str
    session_id: str
    seq: int
    id: str
    ts: int
    doc_type: str
    event: str
    direction: str
    game_id: str | None
    raw: str | None
    raw_bin: bytes | None
    tick: int | None
    price: float | None
    phase: str | None
    active: bool | None
    rugged: bool | None
    cooldown_timer: int | None
    trade_count: int | None

    @property
    def bytes(self) -> str | bytes | None:
        """What was received, if anything was."""
        return self.raw if self.raw_bin is None else self.raw_bin


class OldFile(NamedTuple):
    """An imported file, which is a session.

    Attributes:
        name: as it was called, unpacked; of copies the first by name.
        began: time of its first event, microseconds.
        of_session: whether it is a session of games (F2).
    """

    name: str
    began: int
    of_session: bool


class Games(NamedTuple):
    """What all of a session's ticks say of where its games end, whichever of them are asked for.

    Attributes:
        ends: source, session and seq of the last tick of each game that another one follows.
        told_twice: source, session and id of the games of which both the feed's states and a program's ticks are there.
    """

    ends: frozenset[tuple[str, str, int]] = frozenset()
    told_twice: frozenset[tuple[str, str, str]] = frozenset()


def keep_small(lake: Lake, spill: Path | None = None) -> None:
    """Bound DuckDB's memory; a sort of places that does not fit goes to `spill`, a folder on a disk with room."""
    lake.connection.execute(f"SET memory_limit = '{MEMORY}'")
    lake.connection.execute(f"SET threads = {min(MOST_THREADS, os.cpu_count() or 1)}")
    lake.connection.execute("SET temp_directory = ?", ["" if spill is None else str(spill)])
    lake.connection.execute("SET preserve_insertion_order = false")


def count(lake: Lake, request: Request) -> int:
    """Return how many events are to be read."""
    condition, values = request.condition
    wanted = {
        Format.GAME: f"(({OLD_GAME_LINES}) OR ({TICKS_TOLD}))",
        Format.RAW: FRAMES,
        Format.CLAUDE_FLOW: FRAMES,
    }.get(request.format, "true")
    row = lake.sql(f"SELECT count(*) FROM events WHERE {wanted} AND {condition}", values).fetchone()  # noqa: S608
    return int(row[0]) if row else 0


def with_damage(wanted: str) -> str:
    """Return the condition for imported lines as one that also takes the rejected lines of the same sessions."""
    sessions = f"SELECT session_id FROM events WHERE source = 'import' AND {wanted}"  # noqa: S608 - our own conditions
    return f"({wanted} OR (doc_type = 'reject' AND source = 'import' AND session_id IN ({sessions})))"


def _view(request: Request) -> str:
    return "(SELECT * FROM events UNION ALL SELECT * FROM reject)" if request.damaged else "events"


def old_files(lake: Lake, request: Request, wanted: str) -> dict[tuple[str, str], OldFile]:
    """Return the imported files that the wanted events are of, by source and session."""
    condition, values = request.condition
    rows = lake.sql(
        "SELECT source, session_id, min(regexp_replace(coalesce(origin_file, ''), '\\.(gz|zst)$', '')),"  # noqa: S608
        " min(epoch_us(ts)), bool_or(event IN ('session_start', 'game_complete', 'session_end')) FROM events"
        f" WHERE source = 'import' AND {wanted} AND {condition} GROUP BY ALL",
        values,
    ).fetchall()
    return {row[:2]: OldFile(*row[2:]) for row in rows}


def documents(lake: Lake, request: Request) -> dict[str, int]:
    """Return how many documents of each kind the format's files do not have: they are no lines."""
    condition, values = request.condition
    rows = lake.sql(
        "SELECT event, count(*) FROM events WHERE source = 'import' AND cause IS NULL AND doc_type = 'system_event'"  # noqa: S608
        f" AND list_contains(?, event) AND {condition} GROUP BY ALL",
        [list(_DOCUMENTS[request.format]), *values],
    ).fetchall()
    return dict(rows)


def games(lake: Lake, request: Request) -> Games:
    """Return where games end, and which are told twice: of all that the sessions say of which something is wanted."""
    condition, values = request.condition
    sessions = f"SELECT (source, session_id) FROM events WHERE {TICKS_TOLD} AND {condition}"  # noqa: S608 - our own
    told = f"FROM events WHERE {TICKS_TOLD} AND (source, session_id) IN ({sessions})"
    key = "source, session_id, game_id"
    twice = lake.sql(
        f"SELECT {key} {told} GROUP BY ALL HAVING count(DISTINCT doc_type) > 1",
        values,
    ).fetchall()
    ends = lake.sql(
        f"SELECT source, session_id, seq FROM (SELECT {key}, seq, lead(game_id) OVER (session ORDER BY seq, id) AS next"  # noqa: S608
        f" FROM (SELECT {key}, seq, id, doc_type {told}"
        f" QUALIFY doc_type = 'ws_event' OR NOT bool_or(doc_type = 'ws_event') OVER (PARTITION BY {key}))"
        " WINDOW session AS (PARTITION BY source, session_id)) WHERE next != game_id",
        values,
    ).fetchall()
    return Games(frozenset(ends), frozenset(twice))


def stream(lake: Lake, request: Request, wanted: str, order: str) -> Iterator[Stored]:
    """Give the wanted events; `order` has to be total together with the id, which ends it."""
    for table in tables(lake, request, wanted, order, COLUMNS):
        yield from _events(table.columns)


def tables(lake: Lake, request: Request, wanted: str, order: str, columns: str) -> Iterator[pa.Table]:
    """Give columns of the wanted events, in their order, piece by piece.

    Frames are too large to be sorted: their places are, and the events of so many places that fit in memory are
    fetched at once.
    """
    condition, values = request.condition
    places = lake.connection.cursor().sql(
        f"SELECT id, ts, coalesce(strlen(raw), 0) + coalesce(octet_length(raw_bin), 0) AS size FROM {_view(request)}"  # noqa: S608
        f" WHERE {wanted} AND {condition} ORDER BY {order}, id",
        params=values,
    )
    fetching = lake.connection.cursor()
    for piece in _pieces(places.to_arrow_reader(PIECE_ROWS)):
        fetching.register("piece", piece.append_column("place", pa.array(range(piece.num_rows))))
        times = pc.min_max(piece["ts"]).as_py()
        yield fetching.sql(
            f"SELECT {columns} FROM {_view(request)} JOIN (SELECT id, place FROM piece) USING (id)"  # noqa: S608 - our own names
            " WHERE ts BETWEEN $1 AND $2 AND date BETWEEN $3 AND $4 ORDER BY place",
            params=[times["min"], times["max"], times["min"].date(), times["max"].date()],
        ).to_arrow_table()


def _pieces(places: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Give places in pieces, each of so many rows, or of so many bytes of events, at most; of one event at least."""
    for batch in places:
        table = pa.Table.from_batches([batch])
        sizes = accumulate(table["size"].to_pylist())
        start = begun = before = 0
        for row, size in enumerate(sizes):
            if size - begun > PIECE_BYTES and row > start:
                yield table.slice(start, row - start)
                start, begun = row, before
            before = size
        yield table.slice(start)


def fetch(lake: Lake, query: str, values: Sequence[Any]) -> Iterator[Stored]:
    """Give what a query over `COLUMNS` finds: little, since it is sorted in memory."""
    for batch in lake.connection.sql(query, params=list(values)).to_arrow_reader(_AT_ONCE):
        yield from _events(batch.columns)


def _events(columns: Sequence[Any]) -> Iterator[Stored]:
    return map(Stored._make, zip(*(column.to_pylist() for column in columns), strict=True))
