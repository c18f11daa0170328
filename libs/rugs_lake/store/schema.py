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

from rugs_lake import domains
from rugs_lake.domains.domain import INT, TEXT, FieldType

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

FIELD_COLUMNS: Final = domains.columns()
"""The keys of an envelope's `fields` that have a column of their own."""

_COLUMNS: Final[dict[str, FieldType]] = {
    "id": (pa.binary(16), "blob"),
    "doc_type": TEXT,
    "date": (pa.date32(), "date"),
    "ts": (_MICROS, "timestamptz"),
    "recv_ts": (_MICROS, "timestamptz"),
    "v": (pa.int32(), "int32"),
    "source": TEXT,
    "session_id": TEXT,
    "seq": INT,
    "direction": TEXT,
    "event": TEXT,
    "game_id": TEXT,
    "player_id": TEXT,
    "username": TEXT,
    **FIELD_COLUMNS,
    "extra": TEXT,
    "raw": TEXT,
    "raw_bin": (pa.binary(), "blob"),
    "cause": (pa.binary(16), "blob"),
    "origin_sha256": TEXT,
    "origin_file": TEXT,
    "origin_line": INT,
    "origin_offset": INT,
    "origin_tz": TEXT,
    "origin_extra": TEXT,
    "subject": TEXT,
    "incarnation": TEXT,
    "stream_seq": INT,
    "owner": TEXT,
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
