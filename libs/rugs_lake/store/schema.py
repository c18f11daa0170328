"""The columns of the lake: one table, every doc type.

A row is an envelope, flattened: its keys, the stable `fields` as typed columns and the
others as JSON text in `extra`, and where in which stream it came from. Field ids are
for ever: a column keeps its id, and a new one takes the next.

The version is semver: a new nullable column is minor; anything else is major and needs
`rugs migrate`. A test pins the columns of each version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

SCHEMA_VERSION: Final = "1.1.0"

_MICROS = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Column:
    """A column: its name, types, field id, and the version that brought it."""

    field_id: int
    name: str
    arrow: pa.DataType
    ducklake: str
    since: str = "1.0.0"

    @property
    def field(self) -> pa.Field:
        """The Arrow field, with the field id that Parquet and DuckLake know it by."""
        return pa.field(self.name, self.arrow, metadata={"PARQUET:field_id": str(self.field_id)})

    @property
    def duckdb(self) -> str:
        """The type's name in DuckDB."""
        return _DUCKDB_TYPES[self.ducklake]


_DUCKDB_TYPES: Final = {
    "blob": "BLOB",
    "varchar": "VARCHAR",
    "date": "DATE",
    "timestamptz": "TIMESTAMPTZ",
    "int64": "BIGINT",
    "int32": "INTEGER",
    "float64": "DOUBLE",
    "boolean": "BOOLEAN",
}

_TEXT = (pa.string(), "varchar")
_INT = (pa.int64(), "int64")
_REAL = (pa.float64(), "float64")
_BOOL = (pa.bool_(), "boolean")

FIELD_COLUMNS: Final[dict[str, tuple[pa.DataType, str]]] = {
    "price": _REAL,
    "tick": _INT,
    "phase": _TEXT,
    "active": _BOOL,
    "rugged": _BOOL,
    "cooldown_timer": _INT,
    "trade_count": _INT,
    "is_filler": _BOOL,
    "filled": _BOOL,
    "cash": _REAL,
    "position_qty": _REAL,
    "avg_cost": _REAL,
    "total_invested": _REAL,
    "cumulative_pnl": _REAL,
    "amount": _REAL,
    "action": _TEXT,
    "reason": _TEXT,
}
"""The keys of an envelope's `fields` that have a column of their own."""

_COLUMNS: Final[dict[str, tuple[pa.DataType, str]]] = {
    "id": (pa.binary(16), "blob"),
    "doc_type": _TEXT,
    "date": (pa.date32(), "date"),
    "ts": (_MICROS, "timestamptz"),
    "recv_ts": (_MICROS, "timestamptz"),
    "v": (pa.int32(), "int32"),
    "source": _TEXT,
    "session_id": _TEXT,
    "seq": _INT,
    "direction": _TEXT,
    "event": _TEXT,
    "game_id": _TEXT,
    "player_id": _TEXT,
    "username": _TEXT,
    **FIELD_COLUMNS,
    "extra": _TEXT,
    "raw": _TEXT,
    "raw_bin": (pa.binary(), "blob"),
    "cause": (pa.binary(16), "blob"),
    "origin_sha256": _TEXT,
    "origin_file": _TEXT,
    "origin_line": _INT,
    "origin_offset": _INT,
    "origin_tz": _TEXT,
    "origin_extra": _TEXT,
    "subject": _TEXT,
    "incarnation": _TEXT,
    "stream_seq": _INT,
    "owner": _TEXT,
}
_SINCE: Final = {"owner": "1.1.0"}

COLUMNS: Final = tuple(
    Column(place, name, *types, since=_SINCE.get(name, "1.0.0"))
    for place, (name, types) in enumerate(_COLUMNS.items(), start=1)
)
BY_NAME: Final = {column.name: column for column in COLUMNS}
ARROW_SCHEMA: Final = pa.schema([column.field for column in COLUMNS])

STATISTICS: Final = ("ts", "game_id", "stream_seq")
"""Columns whose least and greatest value the catalog keeps for each file."""


def parse_version(version: str) -> tuple[int, int, int]:
    """Return a semver's numbers.

    Raises:
        ValueError: if it is not ``major.minor.patch``.
    """
    major, minor, patch = (int(part) for part in version.split("."))
    return major, minor, patch


def columns_of(version: str) -> tuple[Column, ...]:
    """Return the columns that files of a schema version have."""
    wanted = parse_version(version)
    return tuple(column for column in COLUMNS if parse_version(column.since) <= wanted)
