"""What the lake holds, read from the catalog alone."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, NamedTuple

from rugs_core.time import from_us
from rugs_lake.store.catalog import reading_catalog


class DocTypeStats(NamedTuple):
    """Rows, files, bytes on disk and time range (UTC) of one doc type."""

    doc_type: str
    rows: int
    files: int
    bytes: int
    first: dt.datetime
    last: dt.datetime

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes, times as ISO 8601 text."""
        return {**self._asdict(), "first": self.first.isoformat(), "last": self.last.isoformat()}


def by_doc_type(root: Path) -> list[DocTypeStats]:
    """Return what the newest snapshot holds of each doc type.

    Raises:
        LakeAbsentError: if there is no lake.
        LakeUnavailableError: if it cannot be read now.
    """
    with reading_catalog(root) as catalog:
        rows = catalog.all(
            "SELECT p.partition_value, sum(f.record_count), count(*), sum(f.file_size_bytes),"
            " min(r.min_ts_us), max(r.max_ts_us)"
            " FROM ducklake_data_file f JOIN rugs_file r USING (data_file_id)"
            " JOIN ducklake_file_partition_value p ON p.data_file_id = f.data_file_id AND p.partition_key_index = 0"
            " WHERE f.end_snapshot IS NULL GROUP BY 1 ORDER BY 1"
        )
    return [
        DocTypeStats(doc_type, count, files, size, from_us(first), from_us(last))
        for doc_type, count, files, size, first, last in rows
    ]


class CursorState(NamedTuple):
    """How far the lake has come into a stream; `last_time_us` is the broker's time of that message."""

    stream: str
    incarnation: str
    epoch: int
    last_seq: int
    last_time_us: int | None


def cursors(root: Path) -> list[CursorState]:
    """Return the lake's cursors, one a stream.

    Raises:
        LakeAbsentError: if there is no lake.
        LakeUnavailableError: if it cannot be read now.
    """
    with reading_catalog(root) as catalog:
        rows = catalog.all("SELECT stream, incarnation, epoch, last_seq, last_time_us FROM rugs_cursor ORDER BY 1")
    return [CursorState(*row) for row in rows]


def totals(root: Path) -> dict[str, int]:
    """Return what all commits counted: `taken` = `stored` + `duplicates` + `rejected`.

    Raises:
        LakeAbsentError: if there is no lake.
        LakeUnavailableError: if it cannot be read now.
    """
    with reading_catalog(root) as catalog:
        return dict(catalog.all("SELECT name, value FROM rugs_total WHERE name <> 'next_row_id' ORDER BY name"))
