"""The commit path, in one place: how rows become part of the lake, once.

A batch is one contiguous piece of a stream. Its files are durable before this module is
called; one SQLite transaction then moves the cursor, names the files in a new snapshot
and notes gaps, imports and totals. A compaction is the same without a cursor: it ends
the old files, each still live, and begins the new. A migration ends all of them, and
the columns with them.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from rugs_core.time import EPOCH_DAY, now_us, to_us
from rugs_lake.errors import LakeError
from rugs_lake.store import derived_ids, faults, held, owners
from rugs_lake.store.catalog import AUTHOR, PARTITION_ID, TABLE_ID, Catalog, begin_columns, snapshot_time
from rugs_lake.store.change_scope import ChangeScope, Touched
from rugs_lake.store.changes import (
    REMOVED,
    Rule,
    insert_change,
    insert_rule,
    insert_tombstones,
    last_change,
)
from rugs_lake.store.cursor import Cursor, Gap, check_unmoved, insert_gaps, move
from rugs_lake.store.ledger import ImportProgress, write_progress
from rugs_lake.store.parquet import DataFile
from rugs_lake.store.schema import BY_NAME, COLUMNS, SCHEMA_VERSION

SLICE: Final = 50
"""Files whose scopes one transaction forgets."""
MIGRATED: Final = "migrated"
"""The kind of change that a migration is; its scope is the schema version it led to."""


class FileVanishedError(LakeError):
    """A file that is to be committed is not there any more, or not as it was written."""

    retryable = True


class ChangedError(LakeError):
    """The lake's rows were changed since the batch was prepared: it may hold what must not be stored any more."""

    retryable = True


class NotLiveError(LakeError):
    """A file that was to be replaced is not live any more: another compaction was faster."""

    retryable = True


@dataclass(frozen=True)
class Batch:
    """What one commit adds, beside the cursor it starts from.

    Attributes:
        end: the cursor as it will be.
        ranges: (first, last) sequences taken, in order; what lies between them is in `gaps`.
        totals: `taken`, `stored`, `duplicates`, `rejected`: how many events of each.
        retried: ids of rejects that this batch has fed again.
        entries: of rows that are known by their entry, see `derived_ids`.
        owners: what sessions say of their owners, see `owners`.
        change: number of the last change whose rules were applied to the batch.
    """

    end: Cursor
    ranges: list[tuple[int, int]]
    files: list[DataFile] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    totals: Counter[str] = field(default_factory=Counter)
    imports: list[ImportProgress] = field(default_factory=list)
    retried: list[bytes] = field(default_factory=list)
    entries: Sequence[int] = ()
    change: int = 0
    owners: Sequence[owners.Named] = ()


def commit_batch(catalog: Catalog, start: Cursor, batch: Batch) -> int:
    """Commit a batch; return the number of the snapshot that has it.

    Raises:
        SupersededError: if another writer has moved the cursor or taken the epoch.
        ChangedError: if there was a change since the batch was prepared.
        FileVanishedError: if a file of the batch is gone. In each case nothing was committed.
    """
    with catalog.transaction() as connection:
        faults.reached("transaction_begun")
        check_unmoved(connection, start)
        if last_change(connection) != batch.change:
            raise ChangedError("stored rows were changed while the batch was made ready")
        snapshot = _newest(connection)
        move(connection, batch.end)
        if batch.files:
            told = {"stream": start.stream, "incarnation": start.incarnation, "last_seq": batch.end.last_seq}
            snapshot = insert_snapshot(connection, len(batch.files), f"inserted_into_table:{TABLE_ID}", told)
            _insert_files(connection, snapshot, batch.files)
        derived_ids.add(connection, batch.entries)
        owners.add(connection, batch.owners)
        _insert_ranges(connection, start, batch.ranges)
        insert_gaps(connection, start, batch.gaps)
        _add_totals(connection, batch.totals)
        write_progress(connection, batch.imports)
        now = now_us()
        connection.executemany(
            "INSERT OR IGNORE INTO rugs_retried VALUES (?, ?)", [(digest, now) for digest in batch.retried]
        )
        faults.reached("rows_inserted")
        _check_there(catalog, batch.files)
        faults.reached("before_commit")
    faults.reached("after_commit")
    return snapshot


def commit_compaction(catalog: Catalog, old: Sequence[int], new: Sequence[DataFile]) -> int:
    """Replace live files by others with the same rows; return the snapshot's number.

    Raises:
        NotLiveError: if one of the old files is not live any more.
        FileVanishedError: if one of the new ones is gone. Nothing was committed.
    """
    with catalog.transaction() as connection:
        marks = ", ".join("?" * len(old))
        ended = (
            f"UPDATE ducklake_data_file SET end_snapshot = ? WHERE end_snapshot IS NULL AND data_file_id IN ({marks})"  # noqa: S608
        )
        changes = f"inserted_into_table:{TABLE_ID},deleted_from_table:{TABLE_ID}"
        snapshot = insert_snapshot(connection, len(new), changes, {"compacted": len(old)})
        if connection.execute(ended, (snapshot, *old)).rowcount != len(old):
            raise NotLiveError("a file to be compacted has been replaced meanwhile")
        connection.execute(f"DELETE FROM rugs_scope WHERE data_file_id IN ({marks})", tuple(old))  # noqa: S608
        _insert_files(connection, snapshot, new)
        _check_there(catalog, new)
        faults.reached("compaction_before_commit")
    faults.reached("compaction_after_commit")
    return snapshot


@dataclass(frozen=True)
class Replacement:
    """What takes the place of a live file in a change: files with its remaining and its rewritten rows, or nothing."""

    file_id: int
    files: list[DataFile]


@dataclass(frozen=True)
class ChangeCommit:
    """What one change does.

    Attributes:
        kind: a word for people and followers.
        scope: which rows are meant.
        rows: how many are rewritten or removed; `is_removal` says which.
        touched: what they belonged to, before and after.
        refuses: whether rows of the scope are refused from now on.
        tombstones: of removed rows, see `rugs_lake.store.changes`.
    """

    kind: str
    scope: ChangeScope
    rows: int
    touched: Touched
    is_removal: bool = False
    refuses: bool = False
    tombstones: Sequence[tuple[bytes, bytes]] = ()


def commit_change(
    catalog: Catalog, change: ChangeCommit, replacements: Sequence[Replacement], check: Callable[[], None]
) -> tuple[int, int]:
    """Replace live files by others without the removed rows, or with rewritten ones; return number and snapshot.

    Args:
        check: called under the write lock; raises NotLiveError if a file that is live now was not looked at.

    Raises:
        NotLiveError: if a file to be replaced is not live any more, or `check` says so.
        FileVanishedError: if one of the new files is gone. In each case nothing was committed.
    """
    new = [file for replacement in replacements for file in replacement.files]
    with catalog.transaction() as connection:
        check()
        actions = [f"inserted_into_table:{TABLE_ID}"] * bool(new) + [f"deleted_from_table:{TABLE_ID}"]
        snapshot = _newest(connection)
        if replacements:
            snapshot = insert_snapshot(connection, len(new), ",".join(actions), {change.kind: change.scope.as_dict()})
        ended = connection.executemany(
            "UPDATE ducklake_data_file SET end_snapshot = ? WHERE end_snapshot IS NULL AND data_file_id = ?",
            [(snapshot, replacement.file_id) for replacement in replacements],
        )
        if replacements and ended.rowcount != len(replacements):
            raise NotLiveError("a file to be changed has been replaced meanwhile")
        if new:
            _insert_files(connection, snapshot, new)
        number = insert_change(connection, snapshot, change.kind, change.scope, change.rows, change.touched)
        if change.refuses:
            insert_rule(connection, Rule(number, change.kind, change.scope))
        insert_tombstones(connection, change.tombstones)
        if change.is_removal:
            _add_totals(connection, Counter({REMOVED: change.rows}))
        _check_there(catalog, new)
        faults.reached("change_before_commit")
    faults.reached("change_after_commit")
    _forget_scopes(catalog, [each.file_id for each in replacements])
    return number, snapshot


def _forget_scopes(catalog: Catalog, files: Sequence[int]) -> None:
    """Forget the scopes of replaced files, in short transactions; what a killed process leaves, expiry deletes."""
    for start in range(0, len(files), SLICE):
        with catalog.transaction() as connection:
            connection.executemany(
                "DELETE FROM rugs_scope WHERE data_file_id = ?",
                [(file_id,) for file_id in files[start : start + SLICE]],
            )


def commit_migration(
    catalog: Catalog, cursors: Sequence[Cursor], files: Mapping[int, DataFile], *, new_games: bool = False
) -> int:
    """Replace every live file by its successor, and the columns by this program's; return the snapshot's number.

    Args:
        cursors: those of every stream, whose epochs the migration has taken.
        files: the new files, by the number of the file that each replaces.
        new_games: whether rows may have another game than before, so that no entry of a game can be relied on.

    Raises:
        SupersededError: if a writer has started meanwhile.
        NotLiveError: if the live files are not those that `files` replaces.
        FileVanishedError: if one of the new files is gone. In each case nothing was committed.
    """
    with catalog.transaction() as connection:
        for cursor in cursors:
            check_unmoved(connection, cursor)
        if {file_id for (file_id,) in connection.execute(_LIVE)} != files.keys():
            raise NotLiveError("the lake has changed while it was migrated")
        changes = f"altered_table:{TABLE_ID},inserted_into_table:{TABLE_ID},deleted_from_table:{TABLE_ID}"
        snapshot = insert_snapshot(connection, len(files), changes, {MIGRATED: SCHEMA_VERSION}, new_schema=True)
        connection.execute("UPDATE ducklake_data_file SET end_snapshot = ? WHERE end_snapshot IS NULL", (snapshot,))
        connection.execute("UPDATE ducklake_column SET end_snapshot = ? WHERE end_snapshot IS NULL", (snapshot,))
        begin_columns(connection, snapshot, COLUMNS)
        first = _insert_files(connection, snapshot, list(files.values()))
        connection.executemany(
            "UPDATE rugs_scope SET data_file_id = ? WHERE data_file_id = ?", list(enumerate(files, start=first))
        )
        if new_games:
            connection.execute("DELETE FROM rugs_scope WHERE scope = ?", (held.ALL,))
        derived_ids.rename_untaken(connection, {old: new for new, old in enumerate(files, start=first)})
        connection.execute("DROP TABLE rugs_staged")
        connection.execute(
            "INSERT INTO rugs_change (snapshot_id, kind, scope) VALUES (?, ?, ?)", (snapshot, MIGRATED, SCHEMA_VERSION)
        )
        _check_there(catalog, files.values())
        faults.reached("migration_before_commit")
    faults.reached("migration_after_commit")
    return snapshot


_LIVE: Final = "SELECT data_file_id FROM ducklake_data_file WHERE end_snapshot IS NULL"


def _newest(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT max(snapshot_id) FROM ducklake_snapshot").fetchone()[0])


def insert_snapshot(
    connection: sqlite3.Connection, new_files: int, changes: str, told: dict[str, Any], *, new_schema: bool = False
) -> int:
    """Begin the next snapshot inside the caller's transaction; return its number.

    `changes` is what DuckLake understands, `told` what we note beside it, and beside that
    all cursors as they are then: the snapshot holds the rows at or below them.
    """
    cursors = connection.execute("SELECT stream, incarnation, last_seq FROM rugs_cursor ORDER BY stream").fetchall()
    last, schema_version, next_catalog_id, next_file_id = connection.execute(
        "SELECT snapshot_id, schema_version, next_catalog_id, next_file_id FROM ducklake_snapshot"
        " ORDER BY snapshot_id DESC LIMIT 1"
    ).fetchone()
    snapshot = int(last) + 1
    connection.execute("INSERT INTO rugs_announced VALUES (?)", (snapshot,))
    connection.execute(
        "INSERT INTO ducklake_snapshot VALUES (?, ?, ?, ?, ?)",
        (
            snapshot,
            snapshot_time(now_us()),
            schema_version + new_schema,
            next_catalog_id,
            next_file_id + new_files,
        ),
    )
    connection.execute(
        "INSERT INTO ducklake_snapshot_changes VALUES (?, ?, ?, NULL, ?)",
        (snapshot, changes, AUTHOR, orjson.dumps({**told, "cursors": cursors}).decode()),
    )
    return snapshot


def _insert_files(connection: sqlite3.Connection, snapshot: int, files: Sequence[DataFile]) -> int:
    """Begin files in a snapshot that was made for as many; return the number of the first."""
    first_id: int = connection.execute(
        "SELECT next_file_id FROM ducklake_snapshot WHERE snapshot_id = ?", (snapshot,)
    ).fetchone()[0] - len(files)
    row_id = connection.execute("SELECT value FROM rugs_total WHERE name = 'next_row_id'").fetchone()[0]
    for file_id, file in enumerate(files, start=first_id):
        connection.execute(
            "INSERT INTO ducklake_data_file"
            " VALUES (?, ?, ?, NULL, NULL, ?, 1, 'parquet', ?, ?, ?, ?, ?, NULL, NULL, NULL)",
            (file_id, TABLE_ID, snapshot, file.path, file.rows, file.size, file.footer_size, row_id, PARTITION_ID),
        )
        date = str(EPOCH_DAY + dt.timedelta(days=file.day))
        connection.executemany(
            "INSERT INTO ducklake_file_partition_value VALUES (?, ?, ?, ?)",
            [(file_id, TABLE_ID, 0, file.doc_type), (file_id, TABLE_ID, 1, date)],
        )
        connection.executemany(
            "INSERT INTO ducklake_file_column_stats VALUES (?, ?, ?, NULL, ?, NULL, ?, ?, NULL, NULL)",
            [
                (file_id, TABLE_ID, BY_NAME[name].field_id, file.rows, _text(least), _text(greatest))
                for name, (least, greatest) in file.statistics.items()
            ],
        )
        least, greatest = file.statistics["ts"]
        connection.execute(
            "INSERT INTO rugs_file VALUES (?, ?, ?, ?, ?, ?, ?)",
            (file_id, file.digest, SCHEMA_VERSION, file.memory, file.effort, to_us(least), to_us(greatest)),
        )
        connection.executemany(
            "INSERT INTO rugs_scope VALUES (?, ?, ?, ?)",
            [(scope, file_id, first, last) for scope, first, last in file.scopes],
        )
        row_id += file.rows
    connection.execute("UPDATE rugs_total SET value = ? WHERE name = 'next_row_id'", (row_id,))
    return first_id


def _text(value: Any) -> str:
    """Return a value as DuckLake's statistics write it."""
    return snapshot_time(to_us(value)) if isinstance(value, dt.datetime) else str(value)


def _insert_ranges(connection: sqlite3.Connection, cursor: Cursor, ranges: Sequence[tuple[int, int]]) -> None:
    for first, last in ranges:
        grown = connection.execute(
            "UPDATE rugs_range SET last_seq = ? WHERE stream = ? AND incarnation = ? AND last_seq = ?",
            (last, cursor.stream, cursor.incarnation, first - 1),
        )
        if grown.rowcount == 0:
            connection.execute(
                "INSERT INTO rugs_range VALUES (?, ?, ?, ?)", (cursor.stream, cursor.incarnation, last, first)
            )


def _add_totals(connection: sqlite3.Connection, totals: Counter[str]) -> None:
    connection.executemany(
        "INSERT INTO rugs_total VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2",
        list(totals.items()),
    )


def _check_there(catalog: Catalog, files: Iterable[DataFile]) -> None:
    for file in files:
        path = catalog.paths.data / file.path
        try:
            size = path.stat().st_size
        except OSError as error:
            raise FileVanishedError(f"{file.path} has gone before its commit: {error.strerror}") from error
        if size != file.size:
            raise FileVanishedError(f"{file.path} has {size} bytes and not the {file.size} that were written")
