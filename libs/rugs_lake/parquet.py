"""Parquet files: written whole and durable, read back with their checksums checked.

A file is encoded in memory (a file of the lake is some megabytes), hashed, written
under a temporary name, fsynced and renamed: under its final name a file is always whole.
The names themselves are durable once the folders are fsynced, each once for many files.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rugs_lake import faults
from rugs_lake.errors import LakeError
from rugs_lake.paths import TEMPORARY_PREFIX, LakePaths, fsync_folder, partition_folder
from rugs_lake.schema import COLUMNS, STATISTICS

FLUSH_LEVEL: Final = 1
"""zstd level of files that are written as events come in."""
COMPACT_LEVEL: Final = 9
"""zstd level of compacted files."""
BEST_LEVEL: Final = 19
"""zstd level of compacted files of short records that will not be merged again."""
PAGE_BYTES: Final = 8 * 1024 * 1024
"""Frames resemble the one before: a large page lets zstd see it (17x becomes 28x)."""
ROW_GROUP_ROWS: Final = 131_072

_DELTA: Final = ("ts", "recv_ts", "seq", "stream_seq", "origin_line", "tick", "cooldown_timer", "trade_count")
_SPLIT: Final = ("price", "cash", "position_qty", "avg_cost", "total_invested", "cumulative_pnl", "amount")
_PLAIN: Final = ("id", "raw", "raw_bin", "extra")
_ENCODINGS: Final = {
    **dict.fromkeys(_DELTA, "DELTA_BINARY_PACKED"),
    **dict.fromkeys(_SPLIT, "BYTE_STREAM_SPLIT"),
    **dict.fromkeys(_PLAIN, "PLAIN"),
}
_DICTIONARY: Final = [
    column.name for column in COLUMNS if column.name not in _ENCODINGS and not pa.types.is_boolean(column.arrow)
]
_WITH_STATISTICS: Final = [column.name for column in COLUMNS if column.name not in ("raw", "raw_bin", "extra")]
"""DuckDB 2.0 takes text whose least and greatest value are equal for constant: `IS NULL` is then true of every row."""
_COMPRESSION: Final = {column.name: "none" if column.name in ("id", "cause") else "zstd" for column in COLUMNS}


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of the lake, as the catalog describes it.

    Attributes:
        path: relative to the data folder.
        day: partition date, in days since 1970-01-01.
        size: bytes on disk.
        footer_size: bytes of the Parquet footer.
        memory: bytes of the rows in memory, uncompressed.
        settled: whether compaction has done its best with it: it is only merged with others.
        digest: SHA-256 of the file, hex.
        statistics: least and greatest value of the columns in `STATISTICS` that have any.
        scopes: (scope, first, last position) of all that the file holds, see `rugs_lake.scopes`.
    """

    path: str
    doc_type: str
    day: int
    rows: int
    size: int
    footer_size: int
    memory: int
    settled: bool
    digest: str
    statistics: dict[str, tuple[Any, Any]]
    scopes: list[tuple[bytes, int, int]] = field(repr=False)


class TornFileError(LakeError):
    """A Parquet file of the lake is damaged or gone."""


def write(
    paths: LakePaths,
    table: pa.Table,
    doc_type: str,
    day: int,
    scopes: list[tuple[bytes, int, int]],
    *,
    level: int = FLUSH_LEVEL,
    settled: bool = False,
) -> DataFile:
    """Write a table as one Parquet file of a partition; nothing refers to it yet.

    Its bytes are durable then; its name is only after `make_durable`.

    Raises:
        OSError: if the disk is full or cannot be written; nothing is left behind.
    """
    content = encode(table, level)
    digest = hashlib.sha256(content).hexdigest()
    folder = paths.data / partition_folder(doc_type, day)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"part-{time.time_ns() // 1000:x}-{uuid.uuid4().hex[:12]}.parquet"
    _write_durably(folder / name, content)
    return DataFile(
        path=f"{partition_folder(doc_type, day)}/{name}",
        doc_type=doc_type,
        day=day,
        rows=table.num_rows,
        size=content.size,
        footer_size=int.from_bytes(content[-8:-4].to_pybytes(), "little"),
        memory=table.nbytes,
        settled=settled,
        digest=digest,
        statistics=_statistics(table),
        scopes=scopes,
    )


def make_durable(paths: LakePaths, files: Iterable[DataFile]) -> None:
    """Make the names of files durable, and those of their folders: whoever made one may have been killed since."""
    folders = {(paths.data / file.path).parent for file in files}
    above = {folder.parent for folder in folders}
    for folder in (*folders, *above, *([paths.data] if above else [])):
        fsync_folder(folder)


def encode(table: pa.Table, level: int) -> pa.Buffer:
    """Return a table as the bytes of a Parquet file, with page checksums."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression=_COMPRESSION,
        compression_level={name: level for name, codec in _COMPRESSION.items() if codec == "zstd"},
        use_dictionary=_DICTIONARY,
        column_encoding=_ENCODINGS,
        data_page_size=PAGE_BYTES,
        row_group_size=ROW_GROUP_ROWS,
        write_page_checksum=True,
        write_statistics=_WITH_STATISTICS,
    )
    return sink.getvalue()


def _write_durably(target: Path, content: pa.Buffer) -> None:
    temporary = target.parent / (TEMPORARY_PREFIX + target.stem)
    try:
        with temporary.open("xb") as handle:
            faults.reached("file_begun")
            handle.write(content)
            faults.reached("file_written")
            handle.flush()
            os.fsync(handle.fileno())
        faults.reached("file_fsynced")
        temporary.rename(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    faults.reached("file_renamed")


def _statistics(table: pa.Table) -> dict[str, tuple[Any, Any]]:
    found = {}
    for name in STATISTICS:
        ends = pc.min_max(table[name]).as_py()
        if ends["min"] is not None:
            found[name] = (ends["min"], ends["max"])
    return found


def read(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file, page checksums checked.

    Raises:
        TornFileError: if it is not whole.
        OSError: if it is not there, or cannot be read now.
    """
    with _read_whole(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        return file.read(columns=columns)


@contextmanager
def _read_whole(path: Path) -> Iterator[None]:
    """Tell a damaged file from one that cannot be read now: where the system has refused it, there is a number."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise TornFileError(f"{path} is damaged: {str(error).splitlines()[0]}; see `rugs verify`") from error


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def batches(path: Path, rows: int = 1_024) -> Iterator[pa.RecordBatch]:
    """Read a file a piece at a time, page checksums checked.

    Raises:
        TornFileError: if it is not whole.
        OSError: if it is not there, or cannot be read now.
    """
    with _read_whole(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        yield from file.iter_batches(batch_size=rows)


def reads_back(path: Path, table: pa.Table) -> bool:
    """Whether a file holds exactly the rows of a table; read a piece at a time.

    Raises:
        TornFileError: if it is not whole.
    """
    done = 0
    for batch in batches(path):
        if not pa.table(batch).equals(table.slice(done, batch.num_rows)):
            return False
        done += batch.num_rows
    return bool(done == table.num_rows)
