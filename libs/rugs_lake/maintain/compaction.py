"""Compaction: many small files of a partition become few sorted, well-compressed ones.

Readers go on reading the old files, which stay for a retention; the writer goes on
committing. Two compactions at once are harmless: the one that comes second finds its
files replaced and gives up. The writer runs it as a process of its own
(`python -m rugs_lake.maintain.compaction`), which keeps pace with the fastest import. Dates that
have got nothing for days are compressed once more, as well as can be, while the machine
has nothing else to do.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from rugs_core.time import EPOCH_DAY, SECOND_US, now_us
from rugs_lake.errors import LakeError
from rugs_lake.maintain.memory import keep_small
from rugs_lake.maintain.ordering import sort_rows
from rugs_lake.maintain.takeover import take_over
from rugs_lake.store import derived_ids, faults, parquet
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.commit import FileVanishedError, NotLiveError, commit_compaction
from rugs_lake.store.evolution import check_writable
from rugs_lake.store.held import with_held
from rugs_lake.store.orphans import discard
from rugs_lake.store.parquet import DataFile, Effort, TornFileError, made_us
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.table import conform

TARGET_MEMORY: Final = 40 * 1024 * 1024
"""Bytes of rows, uncompressed, that a compacted file holds at the most."""
MAX_FILES: Final = 900
"""Files that are merged at once: SQLite may take no more than 999 variables in a statement."""
REUSED_BYTES: Final = 32 * 1024 * 1024
"""Memory up to this size is used again for the next piece: getting it anew from the system costs as much as reading."""
BACKGROUND_FILES: Final = 8
"""In the background, files of like size are merged once there are this many of them."""
QUIET_SECONDS: Final = 3 * 86400.0
"""A date that has got nothing for this long is compressed as well as can be, while nothing else runs."""


class LiveFile(NamedTuple):
    """A live file as compaction sees it.

    Attributes:
        memory: bytes of its rows, uncompressed.
        effort: how thoroughly it is compressed, see `Effort`.
    """

    file_id: int
    path: str
    doc_type: str
    date: str
    rows: int
    memory: int
    effort: int

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


def plan(
    files: Sequence[LiveFile], *, all_files: bool, effort: Effort = Effort.QUICK, quiet_before_us: int = 0
) -> list[list[LiveFile]]:
    """Return groups of files to merge, each of one partition and within `TARGET_MEMORY`.

    On demand (`all_files`) every file that is not full is merged. In the background files wait until there are
    `BACKGROUND_FILES` of like size, so each row is rewritten a few times only, whatever the rate. A file that is full,
    or alone, and compressed with less effort than is asked for, is rewritten by itself. Merged with `effort`, the files
    of a group are none that the same plan would name again.

    Args:
        quiet_before_us: plan for those partitions only that have got nothing since then.
    """
    if quiet_before_us:
        files = _quiet(files, quiet_before_us)
    enough = {effort, Effort.BEST}
    alone = [[file] for file in files if file.is_full and file.effort not in enough]
    groups: dict[tuple[str, str, int], list[LiveFile]] = {}
    for file in sorted(files, key=lambda file: file.file_id):
        if not file.is_full:
            tier = 0 if all_files else file.memory.bit_length() // 3
            groups.setdefault((file.doc_type, file.date, tier), []).append(file)
    merged = [group for same in groups.values() for group in _bins(same)]
    if all_files:
        return alone + [group for group in merged if len(group) > 1 or group[0].effort not in enough]
    return alone + [group for group in merged if len(group) >= BACKGROUND_FILES or _memory(group) > TARGET_MEMORY // 2]


def _quiet(files: Sequence[LiveFile], before_us: int) -> list[LiveFile]:
    """Return the files of those partitions that have got nothing since; what was made the best of does not count."""
    newest: dict[tuple[str, str], float] = {}
    for file in files:
        if file.effort != Effort.BEST:
            made = made_us(file.path)
            partition = (file.doc_type, file.date)
            newest[partition] = max(newest.get(partition, 0), float("inf") if made is None else made)
    return [file for file in files if newest.get((file.doc_type, file.date), float("inf")) < before_us]


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


def live_files(catalog: Catalog, *, since: int = -1) -> list[LiveFile]:
    """Return every live file that began after the snapshot `since`."""
    return [
        LiveFile(*row)
        for row in catalog.all(
            "SELECT f.data_file_id, f.path, t.partition_value, d.partition_value, f.record_count, r.memory, r.settled"
            " FROM ducklake_data_file f JOIN rugs_file r USING (data_file_id)"
            " JOIN ducklake_file_partition_value t ON t.data_file_id = f.data_file_id AND t.partition_key_index = 0"
            " JOIN ducklake_file_partition_value d ON d.data_file_id = f.data_file_id AND d.partition_key_index = 1"
            " WHERE f.end_snapshot IS NULL AND f.begin_snapshot > ?",
            since,
        )
    ]


def compact(
    catalog: Catalog,
    *,
    all_files: bool = True,
    effort: Effort = Effort.QUICK,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Compacted:
    """Merge what is to be merged; call `progress` with groups done and groups in all.

    Raises:
        LakeError: if the lake's schema version is not this program's.
        TornFileError: if a file is not what was written; it is left as it is, and the others are merged first.
        OSError: if the disk is full; what was merged until then stays merged.
    """
    check_writable(catalog)
    take_over(catalog)
    derived_ids.pack(catalog, all_entries=all_files)
    return _merge_all(catalog, plan(live_files(catalog), all_files=all_files, effort=effort), effort, progress)


def is_due(catalog: Catalog) -> bool:
    """Whether there is anything to compact in the background: a cheap look, before a process is started for it."""
    if derived_ids.is_due(catalog.connection):
        return True
    files = live_files(catalog)
    return bool(plan(files, all_files=False) or (is_idle() and plan_for_quiet_dates(files)))


def compact_in_background(catalog: Catalog) -> Compacted:
    """Merge what cannot wait; where nothing is, and the machine is idle, make the best of one group of a quiet date.

    Raises:
        LakeError, TornFileError, OSError: as `compact` does.
    """
    done = compact(catalog, all_files=False)
    if done.files_before or not is_idle():
        return done
    os.nice(_LEAST_PRIORITY)
    return _merge_all(catalog, plan_for_quiet_dates(live_files(catalog))[:1], Effort.BEST)


def plan_for_quiet_dates(files: Sequence[LiveFile]) -> list[list[LiveFile]]:
    """Return groups of files of dates that have got nothing for `QUIET_SECONDS` and can be made better."""
    before_us = now_us() - int(QUIET_SECONDS * SECOND_US)
    return plan(files, all_files=True, effort=Effort.BEST, quiet_before_us=before_us)


def is_idle() -> bool:
    """Whether more than half of the machine had nothing to do in the last minute."""
    return os.getloadavg()[0] < len(os.sched_getaffinity(0)) / 2


_LEAST_PRIORITY: Final = 19


def _merge_all(
    catalog: Catalog,
    groups: Sequence[Sequence[LiveFile]],
    effort: Effort,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Compacted:
    before = after = rows = bytes_before = bytes_after = 0
    torn: TornFileError | None = None
    for done, group in enumerate(groups):
        progress(done, len(groups))
        try:
            new = merge(catalog, group, effort)
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


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def merge(catalog: Catalog, group: Sequence[LiveFile], effort: Effort = Effort.QUICK) -> DataFile:
    """Merge files of one partition into one: read, sort, write, prove, commit.

    Raises:
        NotLiveError: if one of them was replaced meanwhile; nothing changed.
    """
    table = pa.concat_tables([conform(parquet.read(catalog.paths.data / file.path)) for file in group])
    if table.num_rows != sum(file.rows for file in group):
        raise LakeError(f"{group[0].path} and others do not hold the rows that the catalog says: see `rugs verify`")
    faults.reached("compaction_read")
    table = sort_rows(table)
    day = (dt.date.fromisoformat(group[0].date) - EPOCH_DAY).days
    scopes = with_held(_merged_positions(catalog, group), table)
    new = parquet.write(catalog.paths, table, group[0].doc_type, day, scopes, effort=effort)
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


def _merged_positions(catalog: Catalog, group: Sequence[LiveFile]) -> list[tuple[bytes, int, int]]:
    marks = ", ".join("?" * len(group))
    return catalog.all(
        "SELECT scope, min(first_pos), max(last_pos) FROM rugs_scope"  # noqa: S608
        f" WHERE data_file_id IN ({marks}) GROUP BY scope",
        *(file.file_id for file in group),
    )


def main() -> int:
    """Compact in the background: `python -m rugs_lake.maintain.compaction ROOT`. Prints what was done as JSON."""
    keep_small(reused=REUSED_BYTES)
    with Catalog(LakePaths(Path(sys.argv[1]))) as catalog:
        done = compact_in_background(catalog)
    print(json.dumps(done._asdict()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
