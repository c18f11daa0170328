"""Discovery over the lake: received rows into the parts of the state, piece by piece, and parts made anew.

Derived rows say nothing of the feed, and rejects are listed by `rugs rejects`: neither is looked at.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

import rugs_lake
from rugs_discovery.batch import take
from rugs_discovery.messages import read_stored, records_of
from rugs_discovery.nodes import Place
from rugs_discovery.state import State
from rugs_discovery.store import Part, Store
from rugs_lake.read.pieces import Piece, Wanted
from rugs_lake.store.catalog import reading_catalog
from rugs_lake.store.change_scope import Touched
from rugs_lake.store.positions import Position, incarnations
from rugs_proto.subjects import EVENTS_STREAM

COLUMNS: Final = ("id", "ts", "doc_type", "date", "cause", "raw", "raw_bin", "owner")
WANTED: Final = Wanted(columns=COLUMNS)
BATCH_ROWS: Final = 4000
BATCH_BYTES: Final = 4 << 20
"""A batch has no more rows and bytes than these; a single row may have more."""
_NOT_LOOKED_AT: Final = ("reject",)


class _Row(NamedTuple):
    text: bytes
    place: Place
    is_owned: bool


def states_of(rows: pa.Table) -> dict[Part, State]:
    """Return what received rows say, by part.

    Args:
        rows: `COLUMNS` of the lake's files, of any doc types and days.
    """
    parts: defaultdict[Part, State] = defaultdict(State)
    for part, batch in _batches(_received(rows)):
        batch.sort(key=_place)
        parts[part].merge(_state_of(batch))
    return dict(parts)


def _state_of(batch: list[_Row]) -> State:
    texts, owned = [row.text for row in batch], [row.is_owned for row in batch]
    return take(texts, lambda index: batch[index].place, lambda key, is_sent: True, read_stored, owned=owned)


def apply(root: Path, store: Store, piece: Piece) -> None:
    """Take a piece of the lake into the store, and move the store to its position.

    Raises:
        LakeAbsentError, LakeUnavailableError, LakeIncompatibleError: if parts must be made anew, and cannot.
    """
    parts: dict[Part, State] = {}
    if piece.rows is not None:
        for part, state in states_of(piece.rows).items():
            known = store.part(part)
            known.merge(state)
            parts[part] = known
    for part in _touched(store, [change.touched for change in piece.changes]):
        parts[part] = rebuilt(root, part, piece.position)
    store.commit(piece.position, parts, starts_over=piece.starts_over)


def rebuilt(root: Path, part: Part, position: Position) -> State:
    """Return a part, made anew of all rows of the lake up to a position.

    Raises:
        LakeAbsentError, LakeUnavailableError, LakeIncompatibleError: if the lake cannot be read.
    """
    day = dt.date.fromisoformat(part.date)
    state = State()
    for rows in rows_of(root, [part.doc_type], (day, day), position):
        for found in states_of(rows).values():
            state.merge(found)
    return state


def rows_of(
    root: Path, doc_types: list[str] | None, dates: tuple[dt.date, dt.date] | None, position: Position
) -> Iterator[pa.Table]:
    """Give the received rows of the lake up to a position, some at a time, in no order.

    Args:
        doc_types: None: all.
        dates: first and last day, UTC; None: all.

    Raises:
        LakeAbsentError, LakeUnavailableError, LakeIncompatibleError: if the lake cannot be read.
    """
    with reading_catalog(root) as catalog:
        numbers = incarnations(catalog.connection, EVENTS_STREAM)
    before = [name for number, name in numbers.items() if number < position.incarnation]
    told: dict[str, Any] = {"before": before, "last": numbers.get(position.incarnation, ""), "seq": position.seq}
    columns = ", ".join("unhex(id) AS id" if name == "id" else name for name in COLUMNS)
    query = (
        f"SELECT {columns} FROM events WHERE cause IS NULL"  # noqa: S608 - our own text
        " AND (incarnation IN (SELECT unnest($before)) OR (incarnation = $last AND stream_seq <= $seq))"
    )
    with rugs_lake.open(root, doc_types=doc_types, dates=dates) as lake:
        asked = lake.connection.sql(query, params=told)
        reader: Any = asked.to_arrow_reader(BATCH_ROWS)
        yield from (pa.Table.from_batches([batch]) for batch in reader)


def _touched(store: Store, changes: Iterable[Touched | None]) -> list[Part]:
    """Return the parts that changes may have changed."""
    found: set[Part] = set()
    for touched in changes:
        assert touched is not None  # noqa: S101 - a piece with such a change starts over
        found |= {Part(doc_type, day.isoformat()) for doc_type in touched.doc_types for day in touched.dates}
    return sorted(part for part in found if part.doc_type not in _NOT_LOOKED_AT)


def _received(rows: pa.Table) -> pa.Table:
    """Return the rows that have bytes of the feed."""
    is_one: Any = pc.and_(pc.is_null(rows["cause"]), pc.or_(pc.is_valid(rows["raw"]), pc.is_valid(rows["raw_bin"])))
    for doc_type in _NOT_LOOKED_AT:
        is_one = pc.and_(is_one, pc.not_equal(rows["doc_type"], doc_type))
    return rows.filter(is_one)


def _batches(rows: pa.Table) -> Iterator[tuple[Part, list[_Row]]]:
    """Give the rows of each part, a bounded number at a time."""
    waiting: defaultdict[Part, list[_Row]] = defaultdict(list)
    sizes: Counter[Part] = Counter()
    for part, row in _rows(rows):
        waiting[part].append(row)
        sizes[part] += len(row.text)
        if len(waiting[part]) >= BATCH_ROWS or sizes[part] >= BATCH_BYTES:
            yield part, waiting.pop(part)
            del sizes[part]
    yield from waiting.items()


def _rows(rows: pa.Table) -> Iterator[tuple[Part, _Row]]:
    for chunk in rows.to_batches(max_chunksize=BATCH_ROWS):
        texts = pc.coalesce(chunk["raw"].cast(pa.binary()), chunk["raw_bin"].cast(pa.binary())).to_pylist()
        times = chunk["ts"].cast(pa.int64()).to_pylist()
        ids = chunk["id"].to_pylist()
        names = chunk["doc_type"].to_pylist()
        days = chunk["date"].to_pylist()
        owners = chunk["owner"].is_valid().to_pylist()
        for text, ts, id_, name, day, is_owned in zip(texts, times, ids, names, days, owners, strict=True):
            place, part = Place(ts, bytes(id_).hex()), Part(name, day.isoformat())
            yield from ((part, _Row(each, place, is_owned)) for each in records_of(text))


def _place(row: _Row) -> Place:
    return row.place
