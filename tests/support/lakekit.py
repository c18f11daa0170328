"""Made-up events, messages and streams for the lake's tests, and short questions to a lake."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgpack
import pyarrow as pa
import pyarrow.compute as pc

import rugs_lake
from rugs_lake.maintain.verify import Report, verify
from rugs_lake.store import parquet
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.paths import LakePaths
from rugs_lake.write.writer import Committed, LakeWriter
from rugs_proto import ids
from rugs_proto.message import Message
from rugs_proto.subjects import HEADER_IMPORT, HEADER_IMPORT_DONE, HEADER_IMPORT_SEQ, event_subject

STREAM: Final = "RUGS_EVENTS"
INCARNATION: Final = "a" * 32
NOON_US: Final = 1_780_315_200_000_000
"""2026-06-01T12:00:00Z."""
DAY_US: Final = 86_400_000_000
FULL: Final = os.environ.get("RUGS_CRASH_FULL") == "1"
"""Whether the long tests run whole (`make test-crash`), or a sample of them."""


def envelope(seq: int = 1, **changes: Any) -> dict[str, Any]:
    """Return an envelope as it travels; a change of `...` leaves the key out."""
    content = {
        "v": 1,
        "ts": NOON_US + seq,
        "doc_type": "ws_event",
        "source": "public_ws",
        "session_id": "session-1",
        "seq": seq,
        "direction": "received",
        "event": "gameStateUpdate",
        "raw": f'42["gameStateUpdate",{{"n":{seq}}}]',
    }
    return {key: value for key, value in {**content, **changes}.items() if value is not ...}


def tick(number: int, game: str = "game-1", **changes: Any) -> dict[str, Any]:
    """Return a derived tick: no bytes of its own, known by its game."""
    fields = {"tick": number, "price": 1.0 + number / 100, "phase": "ACTIVE", "rugged": False}
    told = {"game_id": game, "fields": fields, "cause": "c" * 32, "raw": ..., "event": "tick"}
    return envelope(**{"seq": number + 1, "doc_type": "game_tick", "source": "public_ws", **told, **changes})


def state(number: int, **changes: Any) -> dict[str, Any]:
    """Return a derived event without a natural key: known by its cause, whoever tells of it and when."""
    cause = hashlib.blake2b(number.to_bytes(8, "big"), digest_size=16).hexdigest()
    told: dict[str, Any] = {
        "id": ids.derived_id("server_state", cause, 0),
        "game_id": None,
        "fields": {},
        "cause": cause,
        "raw": ...,
    }
    return envelope(**{"seq": number + 1, "doc_type": "server_state", "event": "playerUpdate", **told, **changes})


def body(*envelopes: Mapping[str, Any]) -> bytes:
    """Return a message body: a map for one envelope, else an array."""
    return bytes(msgpack.packb(envelopes[0] if len(envelopes) == 1 else list(envelopes)))


def message(seq: int, *envelopes: Mapping[str, Any], **changes: Any) -> Message:
    """Return a message of the stream; its subject is that of its first envelope."""
    doc_type = str(envelopes[0]["doc_type"]) if envelopes else "ws_event"
    content: dict[str, Any] = {
        "seq": seq,
        "time_us": NOON_US + seq * 1000,
        "subject": event_subject(doc_type, "public_ws", "x"),
        "headers": {},
        "body": body(*envelopes) if envelopes else msgpack.packb([]),
    }
    return Message(**{**content, **changes})


def import_headers(run: str, place: int, done: str | None = None) -> dict[str, str]:
    """Return the headers of an import run's message."""
    headers = {HEADER_IMPORT: run, HEADER_IMPORT_SEQ: str(place)}
    return headers if done is None else {**headers, HEADER_IMPORT_DONE: done}


def id_of(content: Mapping[str, Any]) -> str:
    """Return the id that an envelope stands for."""
    if content.get("cause") is not None:
        told = ids.natural_id(content["doc_type"], content["source"], content["game_id"], content["fields"])
        return str(content["id"]) if told is None else told
    raw = content.get("raw")
    make = ids.reject_id if content["doc_type"] == "reject" else ids.event_id
    return make(content["source"], content["session_id"], content["seq"], raw.encode() if type(raw) is str else raw)


def open_writer(root: Path, at_cursor: Message | None = None, incarnation: str | None = INCARNATION) -> LakeWriter:
    """Open a lake as its writer, which has met its stream."""
    writer = LakeWriter(LakePaths(root), STREAM)
    writer.meet(incarnation, at_cursor)
    return writer


def add(writer: LakeWriter, *messages: Message) -> None:
    """Add messages to the writer's batch."""
    for each in messages:
        writer.add(each, writer.judge(each))


def commit(writer: LakeWriter, *messages: Message) -> Committed:
    """Take messages into the lake with one commit."""
    add(writer, *messages)
    pending = writer.take()
    assert pending is not None
    return writer.commit(pending)


LAST: Final = message(3, envelope(6), envelope(7, doc_type="ws_event"))
"""The last message of the small lake that some tests begin with."""


def shifted(table: pa.Table, micros: int) -> pa.Table:
    """Return rows at another time, and so perhaps on another date."""
    ts = pc.add(table["ts"], pa.scalar(dt.timedelta(microseconds=micros)))
    for name, values in (("ts", ts), ("date", ts.cast(pa.date32()))):
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)
    return table


def store(root: Path, *messages: Message) -> None:
    """Make a lake that holds these messages, one commit each; its writer is gone."""
    writer = open_writer(root)
    for each in messages:
        commit(writer, each)
    writer.close()


def select(root: Path, query: str, **pin: Any) -> list[tuple[Any, ...]]:
    """Ask the lake."""
    with rugs_lake.open(root, **pin) as lake:
        return list(lake.sql(query).fetchall())


def one_row(root: Path, view: str = "events") -> dict[str, Any]:
    """Return the only row of a view."""
    with rugs_lake.open(root) as lake:
        rows = lake.arrow(f"SELECT * FROM {view}").to_pylist()
    assert len(rows) == 1
    return dict(rows[0])


def all_ids(root: Path) -> list[str]:
    """Return every id in the lake, rejects' as well, as often as it stands there."""
    return [row[0] for row in select(root, "SELECT id FROM events UNION ALL SELECT id FROM reject ORDER BY id")]


def checked(root: Path, **options: Any) -> Report:
    """Verify the lake; it must be whole."""
    report = verify(root, **options)
    assert report.ok, report.as_dict()
    return report


def catalog_rows(root: Path, query: str, *values: Any) -> list[Any]:
    """Ask the catalog itself."""
    with Catalog(LakePaths(root), read_only=True) as catalog:
        return catalog.all(query, *values)


def live_paths(root: Path) -> list[Path]:
    """Return the live files, oldest first."""
    query = "SELECT path FROM ducklake_data_file WHERE end_snapshot IS NULL ORDER BY data_file_id"
    return [LakePaths(root).data / path for (path,) in catalog_rows(root, query)]


def rows_of_file(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of the lake."""
    return list(parquet.read(path).to_pylist())


def digest_of_rows(root: Path) -> tuple[Any, ...]:
    """Return count, and an order-independent digest over whole rows, computed by DuckDB."""
    query = "SELECT count(*), sum(hash(t)::HUGEINT), bit_xor(hash(t)) FROM (SELECT * FROM {}) t"
    return tuple(select(root, query.format(view))[0] for view in ("events", "reject"))


def utc(micros: int) -> dt.datetime:
    """Return microseconds since the epoch as a time."""
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=micros)


def names(paths: Iterable[Path]) -> set[str]:
    """Return the last parts of paths."""
    return {path.name for path in paths}


class LostAnswer:
    """A connection whose next COMMIT happens, but whose answer is an error."""

    def __init__(self, real: sqlite3.Connection, *, happens: bool) -> None:
        self._real = real
        self._happens = happens
        self._armed = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "COMMIT" and self._armed:
            self._armed = False
            if self._happens:
                self._real.execute(sql)
            raise sqlite3.OperationalError("disk I/O error")
        return self._real.execute(sql, *values)
