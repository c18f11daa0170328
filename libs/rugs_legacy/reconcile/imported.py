"""Both sides of a comparison with what was imported: the events of old files, and the rows of their sessions.

Rows stand at (session, seq); their id, which is a hash of session, seq and bytes, says what they are. Of
a sample, or of all, the key fields are compared, and the bytes by a hash of their own: so a row whose
bytes are not those that its id tells of is found as well.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from rugs_core.time import date_of
from rugs_legacy.envelopes import SOURCE, Envelope
from rugs_legacy.reconcile.compare import Group, Row
from rugs_proto import ids

if TYPE_CHECKING:
    from rugs_lake.read.reader import Lake

REJECT, RECORD = 0, 1
"""A damaged line stands before what was salvaged out of its beginning."""
_SAMPLE: Final = "0"
"""The first digit of the ids that are a sample: one row of sixteen, the same ones each time."""
_TYPES: Final = {"tick": int, "phase": str, "active": bool, "rugged": bool, "cooldown_timer": int, "trade_count": int}
_FIELDS: Final = (*_TYPES, "price")
_KEY_FIELDS: Final = ("ts", "doc_type", "event", "direction", "game_id", "player_id", *_FIELDS)
_PIECE: Final = 5_000
_RECENT_US: Final = 5_000_000
"""How long what a recorder has written may take to the stream: its publisher may be a program of its own."""


def is_sample(event_id: str) -> bool:
    """Return whether a row is one of those that are looked at closely."""
    return event_id.startswith(_SAMPLE)


def is_recent(envelope: Envelope, at: int | None) -> bool:
    """Return whether an event was written just before a moment, in microseconds, UTC; it may be on its way then."""
    if at is None or envelope["doc_type"] == "reject":  # which has no time of its own
        return False
    return bool(abs(envelope["ts"] - at) <= _RECENT_US)


def file_rows(files: Sequence[Iterable[Envelope]], *, full: bool, at: int | None = None) -> Iterator[Row]:
    """Give the rows of the files of one session, in the order of their places, each once though it stand in several.

    `at` is when the files were looked at, where the lake has their rows from live capture, if at all.
    """
    last: Row | None = None
    for row in heapq.merge(
        *(_rows_of(file, full=full, at=at) for file in files), key=lambda row: (row.key, row.identity)
    ):
        if last is None or (row.key, row.identity) != (last.key, last.identity):
            yield row
        last = row


def _rows_of(envelopes: Iterable[Envelope], *, full: bool, at: int | None) -> Iterator[Row]:
    for envelope in envelopes:
        if "cause" not in envelope:  # what is read out of a document follows from it
            yield _row(envelope, full=full)._replace(recent=is_recent(envelope, at))


def _row(envelope: Envelope, *, full: bool) -> Row:
    raw = envelope["raw"]
    content = raw.encode() if isinstance(raw, str) else raw
    session, seq = envelope["session_id"], envelope["seq"]
    is_reject = envelope["doc_type"] == "reject"
    make_id = ids.reject_id if is_reject else ids.event_id
    event_id = make_id(SOURCE, session, seq, content)
    look = full or is_sample(event_id)
    return Row(
        (session, seq, REJECT if is_reject else RECORD),
        event_id,
        _group(session, envelope.get("game_id"), envelope["ts"], envelope["event"], is_reject=is_reject),
        _told_fields(envelope) if look and not is_reject else None,
        sha256(content).hexdigest() if look else None,
        where_in_file(envelope),
    )


def where_in_file(envelope: Envelope) -> str:
    """Return where a file has it, for people."""
    return "{file}:{line}".format(**envelope["origin"])


def _told_fields(envelope: Envelope) -> dict[str, Any]:
    fields = envelope["fields"]
    return {name: _stored(name, fields.get(name)) if name in _FIELDS else envelope.get(name) for name in _KEY_FIELDS}


def _stored(name: str, value: object) -> object:
    """Return a field as its column has it; what is of another type is kept elsewhere, and not compared here."""
    if name == "price":
        return value if type(value) in (int, float) else None
    return value if type(value) is _TYPES[name] else None


def _group(session: str, game: str | None, ts: int, event: str, *, is_reject: bool) -> Group:
    if is_reject:
        return Group(session, None, None, "reject")
    return Group(session, game, date_of(ts).isoformat(), event)


def stored_sessions(lake: Lake, wanted: Iterable[str]) -> set[str]:
    """Return those of the sessions that the lake has imported rows of."""
    _register(lake, wanted)
    query = (
        "SELECT DISTINCT session_id FROM events SEMI JOIN wanted USING (session_id) WHERE source = ? UNION"
        " SELECT DISTINCT session_id FROM reject SEMI JOIN wanted USING (session_id) WHERE source = ?"
    )
    return {session for (session,) in lake.sql(query, [SOURCE, SOURCE]).fetchall()}


def dataset_rows(lake: Lake, wanted: Iterable[str], completed: Set[str], *, full: bool) -> Iterator[Row]:
    """Give the imported rows of sessions, in the order of their places; `completed` are ids of cut lines."""
    _register(lake, wanted)
    look = "true" if full else f"starts_with(id, '{_SAMPLE}')"
    columns = (
        "session_id, seq, id, epoch_us(ts) AS ts, doc_type, event, direction, game_id, player_id, tick, price, phase,"
        " active, rugged, cooldown_timer, trade_count, origin_file, origin_line,"
        f" CASE WHEN {look} THEN sha256(coalesce(raw_bin, encode(raw))) END AS hash"
    )
    query = " UNION ALL ".join(
        f"SELECT {kind} AS kind, {columns} FROM {view} SEMI JOIN wanted USING (session_id)"  # noqa: S608 - our own names
        " WHERE source = ? AND cause IS NULL"
        for kind, view in ((RECORD, "events"), (REJECT, "reject"))
    )
    query += " ORDER BY session_id, seq, kind, id"
    for batch in lake.connection.sql(query, params=[SOURCE, SOURCE]).to_arrow_reader(_PIECE):
        for row in batch.to_pylist():
            yield _found(row, is_completed=row["id"] in completed)


def _found(row: Mapping[str, Any], *, is_completed: bool) -> Row:
    is_reject = row["kind"] == REJECT
    where = f"{row['origin_file']}:{row['origin_line']}" if row["origin_file"] else f"{row['session_id']}:{row['seq']}"
    return Row(
        (row["session_id"], row["seq"], row["kind"]),
        row["id"],
        _group(row["session_id"], row["game_id"], row["ts"], row["event"], is_reject=is_reject),
        None if row["hash"] is None or is_reject else {name: row[name] for name in _KEY_FIELDS},
        row["hash"],
        where,
        is_completed,
    )


def _register(lake: Lake, sessions: Iterable[str]) -> None:
    import pyarrow as pa

    lake.connection.register("wanted", pa.table({"session_id": pa.array(sorted(set(sessions)), pa.string())}))
