"""Compaction: many small files of a partition become few sorted, well-compressed ones.

Readers go on reading the old files, which stay for a retention; the writer goes on
committing. Two compactions at once are harmless: the one that comes second finds its
files replaced and gives up. It takes up to 330 MB, so the writer runs it as a process of
its own (`python -m rugs_lake.compaction`).
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from rugs_lake import faults, parquet
from rugs_lake.catalog import Catalog
from rugs_lake.commit import FileVanishedError, NotLiveError, commit_compaction
from rugs_lake.errors import LakeError
from rugs_lake.evolution import check_writable
from rugs_lake.memory import keep_small
from rugs_lake.orphans import discard
from rugs_lake.parquet import DataFile, TornFileError
from rugs_lake.paths import EPOCH_DAY, LakePaths
from rugs_lake.table import conform

TARGET_MEMORY: Final = 40 * 1024 * 1024
"""Bytes of rows, uncompressed, that a compacted file holds at the most."""
MAX_FILES: Final = 900
"""Files that are merged at once: SQLite may take no more than 999 variables in a statement."""
BACKGROUND_FILES: Final = 8
"""In the background, files of like size are merged once there are this many of them."""
SHORT_RECORD: Final = 2048
"""Bytes in memory below which rows count as short: ticks have about 500, frames 7,000."""
SORT_KEYS: Final = (("source", "ascending"), ("session_id", "ascending"), ("seq", "ascending"), ("ts", "ascending"))


class LiveFile(NamedTuple):
    """A live file as compaction sees it; `memory` is its rows' bytes, uncompressed."""

    file_id: int
    path: str
    doc_type: str
    date: str
    rows: int
    memory: int
    settled: bool

    @property
    def is_full(self) -> bool:
        """Whether merging it with others would hardly make fewer files."""
        return self.memory >= TARGET_MEMORY // 2


class Compacted(NamedTuple):
    """What a compaction did."""

    files_before: int
    files_after: int
    rows: int
    bytes_before: int
    bytes_after: int


def plan(files: Sequence[LiveFile], *, all_files: bool) -> list[list[LiveFile]]:
    """Return groups of files to merge, each of one partition and within `TARGET_MEMORY`.

    On demand (`all_files`) every file that is not full is merged. In the background
    files wait until there are `BACKGROUND_FILES` of like size, so each row is rewritten
    a few times only, whatever the rate. A file that is full, or the only one, but not
    settled is compressed better by itself.
    """
    alone = [[file] for file in files if file.is_full and not file.settled]
    groups: dict[tuple[str, str, int], list[LiveFile]] = {}
    for file in sorted(files, key=lambda file: file.file_id):
        if not file.is_full:
            tier = 0 if all_files else file.memory.bit_length() // 3
            groups.setdefault((file.doc_type, file.date, tier), []).append(file)
    merged = [group for same in groups.values() for group in _bins(same)]
    if all_files:
        return alone + [group for group in merged if len(group) > 1 or not group[0].settled]
    return alone + [group for group in merged if len(group) >= BACKGROUND_FILES or _memory(group) > TARGET_MEMORY // 2]


def _memory(files: Sequence[LiveFile]) -> int:
    return sum(file.memory for file in files)


def _bins(files: Sequence[LiveFile]) -> Iterator[list[LiveFile]]:
    """Cut a list of files into neighbours that fit into one."""
    bin_: list[LiveFile] = []
    size = 0
    for file in files:
        if bin_ and (size + file.memory > TARGET_MEMORY or len(bin_) == MAX_FILES):
            yield bin_
            bin_, size = [], 0
        bin_.append(file)
        size += file.memory
    if bin_:
        yield bin_


def live_files(catalog: Catalog) -> list[LiveFile]:
    """Return every live file."""
    return [
        LiveFile(*row)
        for row in catalog.all(
            "SELECT f.data_file_id, f.path, t.partition_value, d.partition_value, f.record_count, r.memory, r.settled"
            " FROM ducklake_data_file f JOIN rugs_file r USING (data_file_id)"
            " JOIN ducklake_file_partition_value t ON t.data_file_id = f.data_file_id AND t.partition_key_index = 0"
            " JOIN ducklake_file_partition_value d ON d.data_file_id = f.data_file_id AND d.partition_key_index = 1"
            " WHERE f.end_snapshot IS NULL"
        )
    ]


def compact(
    catalog: Catalog, *, all_files: bool = True, progress: Callable[[int, int], None] = lambda done, of: None
) -> Compacted:
    """Merge what is to be merged; call `progress` with groups done and groups in all.

    Raises:
        LakeError: if the lake's schema version is not this program's.
        TornFileError: if a file is not what was written; it is left as it is, and the others are merged first.
        OSError: if the disk is full; what was merged until then stays merged.
    """
    check_writable(catalog)
    groups = plan(live_files(catalog), all_files=all_files)
    before = after = rows = bytes_before = bytes_after = 0
    torn: TornFileError | None = None
    for done, group in enumerate(groups):
        progress(done, len(groups))
        try:
            new = merge(catalog, group, final=all_files)
        except (NotLiveError, FileNotFoundError, FileVanishedError):
            continue  # another compaction was faster
        except TornFileError as error:
            torn = torn or error
            continue
        before += len(group)
        after += 1
        rows += new.rows
        bytes_before += sum(_size(catalog.paths.data / file.path) for file in group)
        bytes_after += new.size
    progress(len(groups), len(groups))
    if torn is not None:
        raise torn
    return Compacted(before, after, rows, bytes_before, bytes_after)


def is_due(catalog: Catalog) -> bool:
    """Whether there is anything to compact in the background: a cheap look, before a process is started for it."""
    return bool(plan(live_files(catalog), all_files=False))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def merge(catalog: Catalog, group: Sequence[LiveFile], *, final: bool = True) -> DataFile:
    """Merge files of one partition into one: read, sort, write, prove, commit.

    Where the merged file is `final`, or full, it is compressed as well as can be.

    Raises:
        NotLiveError: if one of them was replaced meanwhile; nothing changed.
    """
    pieces = (conform(parquet.read(catalog.paths.data / file.path)) for file in group)
    table = pa.concat_tables(pieces).combine_chunks()  # or sorting would do so, and hold it all three times
    faults.reached("compaction_read")
    order = pc.sort_indices(table, sort_keys=SORT_KEYS)
    if not order.sort().equals(pa.array(range(sum(file.rows for file in group)), order.type)):
        raise LakeError("sorting did not return every row once")
    table = table.take(order)
    day = (dt.date.fromisoformat(group[0].date) - EPOCH_DAY).days
    scopes = _merged_scopes(catalog, group)
    level, settled = effort(table, final=final or table.nbytes >= TARGET_MEMORY // 2)
    new = parquet.write(catalog.paths, table, group[0].doc_type, day, scopes, level=level, settled=settled)
    parquet.make_durable(catalog.paths, [new])
    faults.reached("compaction_written")
    if not parquet.reads_back(catalog.paths.data / new.path, table):
        raise LakeError(f"{new.path} does not read back as it was written; nothing was replaced")
    try:
        commit_compaction(catalog, [file.file_id for file in group], [new])
    except (LakeError, OSError, sqlite3.Error):
        discard(catalog, [new])
        raise
    return new


def effort(table: pa.Table, *, final: bool) -> tuple[int, bool]:
    """Return the zstd level for a file that is no flush's, and whether that settles it.

    A thorough search pays for short records: a tick takes 36 bytes and not 41, at 5,000 rows
    a second, once. Frames gain little by it, at a thirtieth of the speed.
    """
    if table.nbytes >= SHORT_RECORD * table.num_rows:
        return parquet.COMPACT_LEVEL, True
    return (parquet.BEST_LEVEL, True) if final else (parquet.COMPACT_LEVEL, False)


def _merged_scopes(catalog: Catalog, group: Sequence[LiveFile]) -> list[tuple[bytes, int, int]]:
    marks = ", ".join("?" * len(group))
    return catalog.all(
        "SELECT scope, min(first_pos), max(last_pos) FROM rugs_scope"  # noqa: S608
        f" WHERE data_file_id IN ({marks}) GROUP BY scope",
        *(file.file_id for file in group),
    )


def main() -> int:
    """Compact in the background: `python -m rugs_lake.compaction ROOT`. Prints what was done as JSON."""
    keep_small()
    with Catalog(LakePaths(Path(sys.argv[1]))) as catalog:
        done = compact(catalog, all_files=False)
    print(json.dumps(done._asdict()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
