"""From rows to an Arrow table with the lake's columns.

Columns are built whole, and their values looked at one by one only where a column holds
more than one kind of value: this is the writer's hottest path.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple

import orjson
import pyarrow as pa

from rugs_core.time import DAY_US
from rugs_lake.store.owners import owner_column
from rugs_lake.store.rows import Row
from rugs_lake.store.schema import ARROW_SCHEMA, COLUMNS, FIELD_COLUMNS
from rugs_proto import ids

_ENVELOPE_COLUMNS: Final = (
    *("ts", "recv_ts", "v", "source", "session_id", "seq", "direction", "event"),
    *("game_id", "player_id", "username"),
)
_FIELD_TYPES: Final = {name: arrow for name, (arrow, _) in FIELD_COLUMNS.items()}
_ORIGIN_TYPES: Final = {
    "sha256": pa.string(),
    "file": pa.string(),
    "line": pa.int64(),
    "offset": pa.int64(),
    "tz": pa.string(),
}


def to_table(rows: Sequence[Row], incarnation: str) -> pa.Table:
    """Return the Arrow table of one partition's rows, in the order given."""
    events = [row.event for row in rows]
    envelopes = [event.envelope for event in events]
    count = len(rows)
    fields = _split([envelope.fields for envelope in envelopes], _FIELD_TYPES)
    columns: dict[str, Any] = {
        "id": _fixed([event.digest for event in events], pa.binary(ids.ID_BYTES)),
        "doc_type": pa.repeat(envelopes[0].doc_type, count),
        "date": pa.repeat(pa.scalar(envelopes[0].ts // DAY_US, pa.int32()), count).cast(pa.date32()),
        "raw": _text([event.raw if event.is_text else None for event in events]),
        "raw_bin": [None if event.is_text else event.raw for event in events],
        "cause": [None if e.cause is None else bytes.fromhex(e.cause) for e in envelopes],
        "subject": [row.subject for row in rows],
        "incarnation": pa.repeat(incarnation, count),
        "stream_seq": [row.stream_seq for row in rows],
        "owner": [row.owner for row in rows],
        **fields.columns,
        "extra": fields.others,
        **_origin_columns(rows),
    }
    for name in _ENVELOPE_COLUMNS:
        columns[name] = [getattr(envelope, name) for envelope in envelopes]
    return pa.table([_array(columns[column.name], column.arrow) for column in COLUMNS], schema=ARROW_SCHEMA)


def field_columns(fields: Sequence[Mapping[str, Any]]) -> dict[str, pa.Array]:
    """Return the columns that the `fields` of some envelopes make: the typed ones, and `extra`."""
    split = _split(fields, _FIELD_TYPES)
    typed = {name: _array(values, _FIELD_TYPES[name]) for name, values in split.columns.items()}
    return {**typed, "extra": _array(split.others, pa.string())}


def conform(table: pa.Table, names: Sequence[str] = ARROW_SCHEMA.names) -> pa.Table:
    """Return a table of an older schema version with exactly these columns of the lake.

    Those that it lacks are null, but an owner: it follows from the rule, and the table must have `OWNER_COLUMNS`.
    """
    schema = pa.schema([ARROW_SCHEMA.field(name) for name in names])
    for field in schema:
        if field.name not in table.column_names:
            absent = owner_column(table) if field.name == "owner" else pa.nulls(table.num_rows, field.type)
            table = table.append_column(field, absent)
    return table.select(schema.names).cast(schema)


def _fixed(values: Sequence[bytes], arrow: pa.DataType) -> pa.Array:
    """Return values that are all of the type's width."""
    return pa.Array.from_buffers(arrow, len(values), [None, pa.py_buffer(b"".join(values))])


def _text(values: Sequence[bytes | None]) -> pa.Array:
    """Return bytes that were found to be UTF-8 as text, copied once: a growing array copies frames four times."""
    offsets = array("i", accumulate((len(value) if value else 0 for value in values), initial=0))
    nulls = pa.array([value is not None for value in values]).buffers()[1] if None in values else None
    data = b"".join(filter(None, values))
    return pa.Array.from_buffers(pa.string(), len(values), [nulls, pa.py_buffer(offsets), pa.py_buffer(data)])


def _array(values: pa.Array | list[Any], arrow: pa.DataType) -> pa.Array:
    return pa.array(values, arrow) if isinstance(values, list) else values


def _origin_columns(rows: Sequence[Row]) -> dict[str, pa.Array | list[Any]]:
    """Return the origin's columns. An import's offset is seq - 1: stored only where it is not, see the reader."""
    origins = _split([row.event.envelope.origin or {} for row in rows], _ORIGIN_TYPES)
    columns = {f"origin_{key}": values for key, values in origins.columns.items()}
    offsets, lines = columns["origin_offset"], columns["origin_line"]
    if isinstance(offsets, list) and isinstance(lines, list):
        columns["origin_offset"] = [
            None if line is not None and _is_import_at(row, offset) else offset
            for offset, line, row in zip(offsets, lines, rows, strict=True)
        ]
    return {**columns, "origin_extra": origins.others}


def _is_import_at(row: Row, offset: int | None) -> bool:
    envelope = row.event.envelope
    return offset == envelope.seq - 1 and envelope.source == "import"


class _Split(NamedTuple):
    """Columns of the keys that have one, and for each map the others as JSON text (None where there are none)."""

    columns: dict[str, pa.Array | list[Any]]
    others: pa.Array | list[str | None]


def _split(maps: Sequence[Mapping[str, Any]], types: Mapping[str, pa.DataType]) -> _Split:
    """Turn maps into typed columns; what has no column, or does not fit its type, is among the others."""
    columns: dict[str, pa.Array | list[Any]] = {}
    misfits: dict[int, dict[str, Any]] = {}
    for name, arrow in types.items():
        values = [map_.get(name) for map_ in maps]
        kinds = set(map(type, values)) - {type(None)}
        if not kinds:
            columns[name] = pa.nulls(len(maps), arrow)
        elif kinds == {_PLAIN[arrow]}:
            columns[name] = values
        else:
            columns[name] = _keep_fitting(values, _FITS[arrow], name, misfits)
    if not misfits and all(types.keys() >= shape for shape in set(map(frozenset, maps))):
        return _Split(columns, pa.nulls(len(maps), pa.string()))
    return _Split(columns, [_others(map_, types.keys(), misfits.get(place)) for place, map_ in enumerate(maps)])


_PLAIN: Final[dict[pa.DataType, type | None]] = {
    pa.string(): str,
    pa.bool_(): bool,
    pa.float64(): float,
    pa.int64(): None,  # integers may be too large: they are looked at one by one
}
_FITS: Final[dict[pa.DataType, Callable[[Any], bool]]] = {
    pa.string(): lambda value: type(value) is str,
    pa.bool_(): lambda value: type(value) is bool,
    pa.int64(): lambda value: type(value) is int and value < 2**63,
    # An integer beyond 2**53 would change in a double: it stays as it is, among the others.
    pa.float64(): lambda value: type(value) is float or (type(value) is int and -(2**53) <= value <= 2**53),
}


def _keep_fitting(
    values: list[Any], fits: Callable[[Any], bool], name: str, misfits: dict[int, dict[str, Any]]
) -> list[Any]:
    """Take out what does not fit, and note it under its place and name."""
    for place, value in enumerate(values):
        if value is not None and not fits(value):
            misfits.setdefault(place, {})[name] = value
            values[place] = None
    return values


def _others(map_: Mapping[str, Any], known: Iterable[str], misfits: dict[str, Any] | None) -> str | None:
    others = {key: value for key, value in map_.items() if key not in known} | (misfits or {})
    return orjson.dumps(others).decode() if others else None
