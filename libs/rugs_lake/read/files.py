"""The live files of a snapshot, for readers that ask no SQL of ours.

Beside them `events_parquet/` holds files that were replaced and wait for their retention: whoever reads the whole
folder reads these rows twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rugs_core.time import to_us
from rugs_lake.errors import LakeError, LakeIncompatibleError
from rugs_lake.read.pruning import ALL, Conditions, excluded_files
from rugs_lake.store.catalog import Catalog, reading_catalog, snapshot_time
from rugs_lake.store.evolution import check_readable, is_readable
from rugs_lake.store.schema import BY_NAME, SCHEMA_VERSION

_FILES: Final = (
    "SELECT f.data_file_id, f.path, t.partition_value, d.partition_value, f.record_count, f.file_size_bytes,"
    " r.schema_version, r.memory, coalesce(s.min_value, 0), coalesce(s.max_value, 9223372036854775807)"
    " FROM ducklake_data_file f JOIN rugs_file r USING (data_file_id)"
    " JOIN ducklake_file_partition_value t ON t.data_file_id = f.data_file_id AND t.partition_key_index = 0"
    " JOIN ducklake_file_partition_value d ON d.data_file_id = f.data_file_id AND d.partition_key_index = 1"
    " LEFT JOIN ducklake_file_column_stats s ON s.data_file_id = f.data_file_id AND s.column_id = ?2"
    " WHERE f.begin_snapshot <= ?1 AND (f.end_snapshot IS NULL OR f.end_snapshot > ?1) ORDER BY f.path"
)


class LakeFile(str):
    """A live file: its absolute path, as any reader takes it, and what the catalog knows of it.

    Attributes:
        doc_type, date: of all its rows; the date is UTC.
        rows: how many it has.
        bytes: its size on disk.
        schema_version: of its columns.
        memory: bytes of its rows, uncompressed.
        first_seq, last_seq: least and greatest stream sequence, whatever the incarnation.
    """

    __slots__ = ("bytes", "date", "doc_type", "first_seq", "last_seq", "memory", "rows", "schema_version")

    doc_type: str
    date: dt.date
    rows: int
    bytes: int
    schema_version: str
    memory: int
    first_seq: int
    last_seq: int

    def as_dict(self) -> dict[str, Any]:
        """Return path and attributes, as `rugs files --json` prints them."""
        named = {name: getattr(self, name) for name in ("doc_type", "date", "rows", "bytes")}
        return {"path": str(self), **named, "date": self.date.isoformat()}


class FilesGoneError(LakeError):
    """A snapshot's files were deleted while it was read: it took longer than replaced files are kept."""


def live_files_at(catalog: Catalog, snapshot: int, asked: Conditions = ALL) -> list[LakeFile]:
    """Return the files of a snapshot that may hold what is asked for, by path."""
    excluded = excluded_files(catalog, asked)
    found = []
    for file_id, path, doc_type, day, rows, size, version, memory, first_seq, last_seq in catalog.all(
        _FILES, snapshot, BY_NAME["stream_seq"].field_id
    ):
        date = dt.date.fromisoformat(day)
        if file_id not in excluded and asked.admit(doc_type, date):
            file = LakeFile((catalog.paths.data / path).absolute())
            file.doc_type, file.date, file.rows, file.bytes, file.schema_version = doc_type, date, rows, size, version
            file.memory, file.first_seq, file.last_seq = memory, int(first_seq), int(last_seq)
            found.append(file)
    return found


def check_versions(catalog: Catalog, snapshot: int, files: Sequence[LakeFile]) -> None:
    """Check that this program can read the schema versions of a snapshot's files.

    Raises:
        LakeIncompatibleError: if it cannot.
        LakeUnavailableError: if they are being migrated.
    """
    unknown = [version for version in {file.schema_version for file in files} if not is_readable(version)]
    if unknown:
        check_readable(catalog)
        raise LakeIncompatibleError(
            f"snapshot {snapshot} is from before the lake was migrated: it has schema version {unknown[0]},"
            f" this program {SCHEMA_VERSION}"
        )


def list_files(
    root: Path, *, at_snapshot: int | None = None, at_time: dt.datetime | None = None, asked: Conditions = ALL
) -> tuple[int, list[LakeFile]]:
    """Return a snapshot's number and its files that may hold what is asked for, as `rugs_lake.open` takes both.

    Raises:
        LakeError: if there is no lake, or no such snapshot any more.
    """
    with reading_catalog(root) as catalog, catalog.reading():
        snapshot = pin(catalog, at_snapshot, at_time)
        return snapshot, live_files_at(catalog, snapshot, asked)


def pin(catalog: Catalog, at_snapshot: int | None, at_time: dt.datetime | None) -> int:
    """Return the number of the newest snapshot, or of the one that is asked for.

    Raises:
        LakeError: if there is no such snapshot any more.
    """
    oldest, newest = catalog.one(
        "SELECT min(snapshot_id), max(snapshot_id) FROM ducklake_snapshot WHERE snapshot_id > 0"
    )
    if at_snapshot is not None:
        if catalog.one("SELECT 1 FROM ducklake_snapshot WHERE snapshot_id = ?", at_snapshot) is None:
            raise LakeError(f"no snapshot {at_snapshot}: the lake has {oldest} to {newest}")
        return at_snapshot
    if at_time is not None:
        aware = at_time if at_time.tzinfo else at_time.replace(tzinfo=dt.UTC)
        found = catalog.one(
            "SELECT max(snapshot_id) FROM ducklake_snapshot WHERE snapshot_id > 0 AND snapshot_time <= ?",
            snapshot_time(to_us(aware)),
        )[0]
        if found is None:
            raise LakeError(f"no snapshot as old as {at_time.isoformat()}: the oldest is number {oldest}")
        return int(found)
    return int(newest)


def explain_missing(snapshot: int, files: Sequence[str]) -> FilesGoneError | None:
    """Return the error that says why a query over these files failed, where that is that they are gone."""
    gone = sum(not Path(file).exists() for file in files)
    if not gone:
        return None
    return FilesGoneError(
        f"{gone} of the {len(files)} files of snapshot {snapshot} were deleted while it was read, which took longer"
        " than RUGS_SNAPSHOT_RETENTION: begin again, and hold them with `lake.hold()` or `rugs files --hold`"
    )
