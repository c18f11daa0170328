"""Events as rows, in Parquet or Arrow, with columns that stay.

The columns are the lake's, but for where in a stream an event stood: that says how it was
delivered, not what it is. Ids are hex text, as in the views.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet

from rugs_lake.store.schema import COLUMNS, SCHEMA_VERSION
from rugs_legacy.line_formats import stored
from rugs_legacy.line_formats.request import Format, Request

if TYPE_CHECKING:
    from rugs_export.files import OutFile
    from rugs_lake.read.reader import Lake

_OF_DELIVERY: Final = ("subject", "incarnation", "stream_seq")
_HEX: Final = ("id", "cause")
SCHEMA: Final = pa.schema(
    [
        pa.field(column.name, pa.string() if column.name in _HEX else column.arrow)
        for column in COLUMNS
        if column.name not in _OF_DELIVERY
    ],
    metadata={"rugs.schema_version": SCHEMA_VERSION},
)
_ORDER: Final = "ts, source, session_id, seq, doc_type"
GROUP_ROWS: Final = 32_768
GROUP_BYTES: Final = 16 << 20
"""A group of rows ends with the row that makes its `raw` so long, or the group so many rows."""


class RowWriter(Protocol):
    """What writes Arrow tables to a file."""

    def write_table(self, table: pa.Table) -> None:
        """Write a table as one group."""

    def close(self) -> None:
        """Write the file's end."""


def stream(lake: Lake, request: Request) -> Iterator[pa.Table]:
    """Give the wanted rows in their order, as groups: whose bounds are the same however the rows come."""
    waiting: list[pa.Table] = []
    rows = size = 0
    for piece in stored.tables(lake, request, "true", _ORDER, ", ".join(SCHEMA.names)):
        table = piece.select(SCHEMA.names).cast(SCHEMA)
        start = 0
        for place, length in enumerate(_lengths(table)):
            rows, size = rows + 1, size + length
            if rows == GROUP_ROWS or size >= GROUP_BYTES:
                yield pa.concat_tables([*waiting, table.slice(start, place + 1 - start)]).combine_chunks()
                waiting, rows, size, start = [], 0, 0, place + 1
        if start < table.num_rows:
            waiting.append(table.slice(start))
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _lengths(table: pa.Table) -> list[int]:
    text, binary = (pc.fill_null(pc.binary_length(table[name]), 0) for name in ("raw", "raw_bin"))
    return list(pc.add(text, binary).to_pylist())


def writer(file: OutFile, format_: Format) -> RowWriter:
    """Return what writes rows into a file."""
    sink: Any = pa.PythonFile(file, mode="w")
    if format_ is Format.PARQUET:
        parquet: RowWriter = pyarrow.parquet.ParquetWriter(sink, SCHEMA, compression="zstd", write_page_checksum=True)
        return parquet
    return _ArrowWriter(sink)


class _ArrowWriter:
    def __init__(self, sink: Any) -> None:
        self._file = pyarrow.ipc.new_file(sink, SCHEMA)

    def write_table(self, table: pa.Table) -> None:
        self._file.write_table(table)

    def close(self) -> None:
        self._file.close()
