"""A new major version of the schema: every file of the lake written once more, with the new columns.

The old files stay live while the new ones are made beside them. Each is proven against
the one that it will replace, and noted in the catalog, so a migration that was killed goes
on where it was; whoever writes the lake may go on meanwhile. One transaction then ends
all the old files and begins the new: no lake is ever half migrated. Until the snapshots
from before expire, it needs its size once more on the disk.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Final, NamedTuple

import duckdb
import pyarrow as pa

from rugs_core.locks import try_lock
from rugs_core.time import EPOCH_DAY
from rugs_lake.errors import LakeError, LakeUnavailableError
from rugs_lake.maintain.compaction import LiveFile, live_files
from rugs_lake.store import faults, parquet, staging
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.commit import FileVanishedError, NotLiveError, commit_migration
from rugs_lake.store.cursor import Cursor, SupersededError, take_epoch
from rugs_lake.store.evolution import check_readable, is_readable, lake_version, write_version
from rugs_lake.store.orphans import sweep
from rugs_lake.store.parquet import Effort
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.schema import SCHEMA_VERSION, parse_version
from rugs_lake.store.staging import Staged
from rugs_lake.store.table import conform

KEPT: Final = frozenset(
    {
        *("id", "doc_type", "date", "ts", "source", "session_id", "seq", "raw", "raw_bin"),
        *("incarnation", "stream_seq"),
    }
)
"""Columns that no migration may change: which event it is, where its row lies, and its bytes."""


@dataclass(frozen=True)
class Migration:
    """The way from one major version to the next.

    Attributes:
        upgrade: takes a file's rows with the columns it was written with, and returns the same rows in the
            same order with the new ones. What it leaves out of the new columns becomes null.
        changes: columns of the old version that it changes, renames or drops; all others are proven equal.
    """

    upgrade: Callable[[pa.Table], pa.Table]
    changes: frozenset[str]


MIGRATIONS: Final[dict[int, Migration]] = {}
"""How to leave a major version, by its number."""


class Plan(NamedTuple):
    """What a migration has to do; `source` is None for a lake that nobody has written yet.

    Attributes:
        files, rows, bytes: that are live.
        staged, staged_bytes: of these, what an earlier run has written anew already.
        free: bytes free on the lake's disk.
    """

    source: str | None
    target: str
    files: int
    rows: int
    bytes: int
    staged: int
    staged_bytes: int
    free: int

    @property
    def is_needed(self) -> bool:
        """Whether this program cannot read the lake as it is."""
        return self.source is not None and not is_readable(self.source)

    @property
    def missing_room(self) -> int:
        """Bytes that the disk lacks, if what is still to be written takes as much as what it replaces."""
        return self.bytes - self.staged_bytes - self.free


class Migrated(NamedTuple):
    """What a migration did.

    Attributes:
        rows: of which each has the id and the bytes it had.
        digest: of all rows' ids and bytes, hex: the XOR over all rows of the MD5 of both.
        bytes_before, bytes_after: on disk.
    """

    source: str
    target: str
    snapshot: int
    files: int
    rows: int
    digest: str
    bytes_before: int
    bytes_after: int


def plan(catalog: Catalog) -> Plan:
    """Return what a migration to this program's schema version has to do.

    Raises:
        LakeError: if a newer program wrote the lake, or this one knows no way.
    """
    source = lake_version(catalog)
    if source is None or parse_version(source) > parse_version(SCHEMA_VERSION):
        check_readable(catalog)
    else:
        _way(source)
    files, rows, size = catalog.one(
        "SELECT count(*), coalesce(sum(record_count), 0), coalesce(sum(file_size_bytes), 0)"
        " FROM ducklake_data_file WHERE end_snapshot IS NULL"
    )
    staged = staging.staged(catalog)
    free = shutil.disk_usage(catalog.paths.data).free
    written = sum(each.file.size for each in staged)
    return Plan(source, SCHEMA_VERSION, files, rows, size, len(staged), written, free)


def migrate(catalog: Catalog, *, progress: Callable[[int, int], None] = lambda done, of: None) -> Migrated:
    """Bring a lake of an older major version to this program's; call `progress` with files done and files in all.

    What a killed run has done stays done. A writer that still runs goes on until the last step, which ends it.

    Raises:
        LakeError: if there is nothing to migrate, no way, not enough room, another migration, or a row that would
            come out changed.
        TornFileError: if a file of the lake is damaged; see `rugs verify`. In each case the lake is as it was.
    """
    with _alone(catalog.paths):
        return _migrate(catalog, progress)


def _migrate(catalog: Catalog, progress: Callable[[int, int], None]) -> Migrated:
    todo = plan(catalog)
    if todo.source is None or not todo.is_needed:
        raise LakeError(f"nothing to migrate: this lake has the schema version {SCHEMA_VERSION} of this program")
    if todo.missing_room > 0:
        raise LakeError(
            f"to write the lake once more takes {todo.missing_room // 2**20 + 1} MiB more than the disk has free:"
            " make room, and run this again"
        )
    way = _way(todo.source)
    staging.begin(catalog)
    _stage_all(catalog, way, progress)
    cursors = [take_epoch(catalog, stream) for (stream,) in catalog.all("SELECT stream FROM rugs_cursor")]
    faults.reached("migration_epoch_taken")
    snapshot, staged = _replace_all(catalog, cursors, way, progress)
    write_version(catalog)
    return Migrated(
        todo.source,
        SCHEMA_VERSION,
        snapshot,
        files=len(staged),
        rows=sum(each.file.rows for each in staged),
        digest=f"{reduce(xor, (each.content for each in staged), 0):032x}",
        bytes_before=todo.bytes,
        bytes_after=sum(each.file.size for each in staged),
    )


def abandon(catalog: Catalog) -> int:
    """Delete what a migration that never came to its end has written; return how many files.

    Raises:
        LakeError: if it is still running.
    """
    with _alone(catalog.paths):
        staged = staging.staged(catalog)
        staging.drop(catalog, staged)
    return len(staged)


@contextmanager
def _alone(paths: LakePaths) -> Iterator[None]:
    """Hold the lock of migrations while the body runs; it goes with the process, however that ends."""
    paths.state.mkdir(exist_ok=True)
    with paths.migration_lock.open("a") as file:
        if not try_lock(file):
            raise LakeUnavailableError("a migration of this lake is running: wait for its end")
        yield


def _way(source: str) -> list[Migration]:
    majors = range(parse_version(source)[0], parse_version(SCHEMA_VERSION)[0])
    for major in majors:
        if major not in MIGRATIONS:
            raise LakeError(f"this program knows no way from schema version {major} to {major + 1}: update it")
    return [MIGRATIONS[major] for major in majors]


def _replace_all(
    catalog: Catalog, cursors: Sequence[Cursor], way: Sequence[Migration], progress: Callable[[int, int], None]
) -> tuple[int, list[Staged]]:
    """Write anew what has come meanwhile, and replace all files at once; return the snapshot and the new files."""
    new_games = any("game_id" in migration.changes for migration in way)
    try:
        if cursors:
            sweep(catalog, cursors[0])
        while True:
            _stage_all(catalog, way, progress)
            staged = staging.staged(catalog)
            try:
                files = {each.old_file_id: each.file for each in staged}
                return commit_migration(catalog, cursors, files, new_games=new_games), staged
            except (NotLiveError, FileVanishedError):
                continue  # a compaction goes on beside us
    except SupersededError as error:
        raise LakeError(
            "a writer was started before the migration had come to its end: stop it with `rugs down`, and run this"
            " again; what is written already is kept"
        ) from error


def _stage_all(catalog: Catalog, way: Sequence[Migration], progress: Callable[[int, int], None]) -> None:
    """Write every live file anew that is not yet; and drop what was written for a file that is not live any more."""
    live = {file.file_id: file for file in live_files(catalog)}
    staged = staging.staged(catalog)
    staging.drop(
        catalog, [each for each in staged if each.old_file_id not in live or not staging.is_whole(catalog, each)]
    )
    todo = live.keys() - {each.old_file_id for each in staging.staged(catalog)}
    for done, file_id in enumerate(sorted(todo), start=len(live) - len(todo)):
        progress(done, len(live))
        _stage(catalog, live[file_id], way)
    progress(len(live), len(live))


def _stage(catalog: Catalog, old: LiveFile, way: Sequence[Migration]) -> None:
    """Write a live file anew, prove it, and note it. Where either file has gone meanwhile, leave that to the next try.

    Raises:
        LakeError: if a row would come out changed.
    """
    paths = catalog.paths
    try:
        before = parquet.read(paths.data / old.path)
        after = _upgraded(before, way, old.path)
        day = (dt.date.fromisoformat(old.date) - EPOCH_DAY).days
        new = parquet.write(paths, after, old.doc_type, day, [], effort=Effort.QUICK)
        parquet.make_durable(paths, [new])
        faults.reached("migration_written")
        if not parquet.reads_back(paths.data / new.path, after):
            raise LakeError(f"{new.path} does not read back as it was written; nothing was replaced")
    except FileNotFoundError as error:
        if (paths.data / old.path).exists() or old not in live_files(catalog):
            return  # a writer that was just started has swept the new one, or a compaction replaced the old
        raise LakeError(f"{old.path} is gone; see `rugs verify`") from error
    content = _digest(after)
    if content != _digest(before):
        raise LakeError(f"{old.path}: the ids or the bytes of its rows would not be the same")
    staging.note(catalog, Staged(old.file_id, new, content))
    faults.reached("migration_staged")


def _upgraded(before: pa.Table, way: Sequence[Migration], name: str) -> pa.Table:
    """Return a file's rows with this program's columns, all proven that are not to change."""
    try:
        after = conform(reduce(lambda table, migration: migration.upgrade(table), way, before))
    except pa.ArrowException as error:
        raise LakeError(f"{name} cannot be migrated: {str(error).splitlines()[0]}") from error
    changes = frozenset().union(*(migration.changes for migration in way)) - KEPT
    if after.num_rows != before.num_rows:
        raise LakeError(f"{name}: {before.num_rows} rows would become {after.num_rows}")
    for column in before.column_names:
        if column not in changes and (column not in after.column_names or not after[column].equals(before[column])):
            raise LakeError(f"{name}: the column {column} would change, and is not among the migration's changes")
    return after


def _digest(table: pa.Table) -> int:
    """Return the XOR over all rows of the MD5 of their ids and bytes: the same in whatever order and files they are."""
    with duckdb.connect() as connection:
        connection.register("rows", table.select(["id", "raw", "raw_bin"]))
        told = connection.execute(
            "SELECT bit_xor(md5_number(id || coalesce(encode(raw), raw_bin, ''::BLOB))) FROM rows"
        ).fetchone()
    return int(told[0] or 0) if told else 0
