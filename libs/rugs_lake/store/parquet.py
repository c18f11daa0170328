"""Parquet files: written whole and durable, read back with their checksums checked.

A file is encoded in memory (a file of the lake is some megabytes), hashed, written
under a temporary name, fsynced and renamed: under its final name a file is always whole.
The names themselves are durable once the folders are fsynced, each once for many files.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rugs_core.files import TEMPORARY_PREFIX, fsync_file, fsync_folder
from rugs_core.time import now_us
from rugs_lake.domains.domain import INT, REAL
from rugs_lake.errors import LakeError
from rugs_lake.store import faults
from rugs_lake.store.paths import LakePaths, partition_folder
from rugs_lake.store.schema import COLUMNS, FIELD_COLUMNS, STATISTICS

SHORT_RECORD: Final = 2048
"""Bytes in memory below which rows count as short: ticks have about 700, frames 7,000."""
PIECE_BYTES: Final = 4 * 1024 * 1024
"""Bytes of rows, uncompressed, that are read at once: whole columns would grow by copying."""
PAGE_BYTES: Final = 8 * 1024 * 1024
"""Frames resemble the one before: a large page lets zstd see it (17x becomes 28x)."""
ROW_GROUP_ROWS: Final = 131_072

_DELTA: Final = (
    *("ts", "recv_ts", "seq", "stream_seq", "origin_line"),
    *(name for name, type_ in FIELD_COLUMNS.items() if type_ == INT),
)
_SPLIT: Final = tuple(name for name, type_ in FIELD_COLUMNS.items() if type_ == REAL)
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


class Effort(IntEnum):
    """How thoroughly a file is compressed. The catalog keeps the number for each file, so none may change.

    Attributes:
        FLUSHED: as events come in.
        BEST: as well as can be; nothing more is to be gained.
        QUICK: by a compaction that keeps pace with the fastest import.
    """

    FLUSHED = 0
    BEST = 1
    QUICK = 2


_LEVELS: Final = {
    Effort.FLUSHED: (1, 1),
    Effort.QUICK: (1, 3),
    Effort.BEST: (19, 12),
}
"""zstd levels of short rows and of long ones, by what was measured of sorted files:

A tick takes 42.1 bytes at level 1, 41.7 at level 9, a fifth as fast, and 36.6 at level 19, which is 100 times slower;
levels between gain nothing. A frame takes 400 bytes at level 1, 300 at level 3, hardly slower, 266 at level 6, half as
fast, 259 at level 9 and 256 at level 12, which is six times slower than level 3.
"""


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of the lake, as the catalog describes it.

    Attributes:
        path: relative to the data folder.
        day: partition date, in days since 1970-01-01.
        size: bytes on disk.
        footer_size: bytes of the Parquet footer.
        memory: bytes of the rows in memory, uncompressed.
        effort: how thoroughly it is compressed.
        digest: SHA-256 of the file, hex.
        statistics: least and greatest value of the columns in `STATISTICS` that have any.
        scopes: (scope, first, last position) of all that the file holds, see `rugs_lake.store.held`.
    """

    path: str
    doc_type: str
    day: int
    rows: int
    size: int
    footer_size: int
    memory: int
    effort: int
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
    effort: Effort = Effort.FLUSHED,
) -> DataFile:
    """Write a table as one Parquet file of a partition; nothing refers to it yet.

    Its bytes are durable then; its name is only after `make_durable`.

    Raises:
        OSError: if the disk is full or cannot be written; nothing is left behind.
    """
    content = encode(table, level_of(table, effort))
    digest = hashlib.sha256(content).hexdigest()
    folder = paths.data / partition_folder(doc_type, day)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"part-{now_us():x}-{uuid.uuid4().hex[:12]}.parquet"
    _write_durably(folder / name, content)
    return DataFile(
        path=f"{partition_folder(doc_type, day)}/{name}",
        doc_type=doc_type,
        day=day,
        rows=table.num_rows,
        size=content.size,
        footer_size=int.from_bytes(content[-8:-4].to_pybytes(), "little"),
        memory=table.nbytes,
        effort=effort,
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


def level_of(table: pa.Table, effort: Effort) -> int:
    """Return the zstd level that compresses these rows with an effort."""
    short, long = _LEVELS[effort]
    return short if table.nbytes < SHORT_RECORD * table.num_rows else long


def made_us(path: str) -> int | None:
    """Return when a file of the lake was written, as its name says, in microseconds since the epoch; None if not."""
    match = _NAME.fullmatch(path.rpartition("/")[2])
    return int(match[1], 16) if match else None


_NAME: Final = re.compile(r"part-([0-9a-f]{1,15})-[0-9a-f]+\.parquet")


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
            fsync_file(handle)
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
        pieces = list(file.iter_batches(_rows_of_a_piece(file, columns), columns=columns, use_threads=False))
        return pa.Table.from_batches(pieces) if pieces else file.read(columns=columns)


@contextmanager
def _read_whole(path: Path) -> Iterator[None]:
    """Tell a damaged file from one that cannot be read now: where the system has refused it, there is a number."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise TornFileError(f"{path} is damaged: {str(error).splitlines()[0]}; see `rugs verify`") from error


def _rows_of_a_piece(file: pq.ParquetFile, columns: list[str] | None = None) -> int:
    """Return how many rows take about `PIECE_BYTES`."""
    rows = size = 0
    for place in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(place)
        rows += group.num_rows
        for number in range(group.num_columns):
            column = group.column(number)
            if columns is None or column.path_in_schema in columns:
                size += column.total_uncompressed_size
    return max(64, PIECE_BYTES * rows // max(1, size)) if rows else 64


def batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Read a file a piece at a time, page checksums checked.

    Raises:
        TornFileError: if it is not whole.
        OSError: if it is not there, or cannot be read now.
    """
    with _read_whole(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        yield from file.iter_batches(_rows_of_a_piece(file), use_threads=False)


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
