"""The catalog: a DuckLake 1.0 catalog in SQLite, with Rugbus's own tables beside it.

SQLite alone decides what counts. This module opens the database and gives out its
transactions; what a commit writes is in `rugs_lake.store.commit`.

Our processes never load DuckDB's `sqlite` or `ducklake` extension: a second SQLite
library in one process cancels the file locks of the first.
"""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any, Final

from rugs_core.files import fsync_folder
from rugs_core.time import now_us
from rugs_lake.errors import (
    LakeAbsentError,
    LakeIncompatibleError,
    LakeReplacedError,
    LakeUnavailableError,
    told_apart,
)
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.schema import BY_NAME, COLUMNS, Column

DUCKLAKE_VERSION: Final = "1.0"
TABLE: Final = "events"
SCHEMA_ID: Final = 0
TABLE_ID: Final = 1
PARTITION_ID: Final = 2
NEXT_CATALOG_ID: Final = 3
FIRST_SNAPSHOT: Final = 1
AUTHOR: Final = "rugbus"
BUSY_SECONDS: Final = 30.0


class Catalog:
    """An open catalog.

    Not to be shared between threads. Several processes may hold one at the same time.

    Raises:
        LakeAbsentError: if there is none, and `create` is false.
        LakeUnavailableError: if it cannot be opened now.
        LakeIncompatibleError: if what is there is no catalog.
    """

    def __init__(self, paths: LakePaths, *, create: bool = False, read_only: bool = False) -> None:
        self.paths = paths
        _check_path(paths)
        is_there = _is_there(paths)
        if create and not is_there:
            _create(paths)
        elif not is_there:
            raise LakeAbsentError(f"no lake at {paths.root}: start `rugs up` or `rugs import` with this RUGS_DATA_DIR")
        self.connection = _connect(paths.catalog, read_only)
        with told_apart(f"cannot open the catalog {paths.catalog}"):
            self._identity = self._files_identity()

    def close(self) -> None:
        """Close the database; the last one to do so folds the write-ahead log in."""
        self.connection.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the write lock; commit when the block ends, roll back when it raises.

        Raises:
            LakeReplacedError: after the commit, if it went to files that nobody will find again.
        """
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("DELETE FROM rugs_announced")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        if self._files_identity() != self._identity:
            raise LakeReplacedError(f"{self.paths.catalog} was replaced while it was open: restart the writer")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read several tables as of one moment; short, or the write-ahead log grows without end."""
        self.connection.execute("BEGIN")
        try:
            yield self.connection
        finally:
            self.connection.execute("ROLLBACK")

    def one(self, sql: str, *values: Any) -> Any:
        """Return the first row of a query, or None."""
        return self.connection.execute(sql, values).fetchone()

    def all(self, sql: str, *values: Any) -> list[Any]:
        """Return all rows of a query."""
        return self.connection.execute(sql, values).fetchall()

    def _files_identity(self) -> tuple[tuple[int, int] | None, ...]:
        """Device and inode of the database and of its log, None where there is none yet."""
        self.connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # opens the log
        return tuple(_identity(path) for path in (self.paths.catalog, _log(self.paths.catalog)))


@contextmanager
def reading_catalog(root: Path) -> Iterator[Catalog]:
    """Open the catalog under a data root to read it, while the body runs.

    Raises:
        LakeAbsentError: if there is none.
        LakeUnavailableError: if it cannot be read now.
        LakeIncompatibleError: if what is there is no catalog.
    """
    paths = LakePaths(root)
    with told_apart(f"cannot read the catalog {paths.catalog}"), Catalog(paths, read_only=True) as catalog:
        yield catalog


def _check_path(paths: LakePaths) -> None:
    """DuckDB takes `price=3` anywhere in a file's path for the value of that column in every row."""
    for part in paths.data.absolute().parts:
        key, is_pair, _ = part.partition("=")
        if is_pair and key.lower() in BY_NAME:
            raise LakeIncompatibleError(
                f"a folder named {part!r} would be read as a column: choose another RUGS_DATA_DIR"
            )


def _is_there(paths: LakePaths) -> bool:
    """Whether there is a catalog. Only where nothing at all was stored there is none.

    Raises:
        LakeUnavailableError: if that cannot be seen now.
        LakeIncompatibleError: if its files are there without it.
    """
    with told_apart(f"cannot look for the catalog {paths.catalog}"):
        try:
            paths.catalog.stat()
            return True
        except FileNotFoundError:
            pass
        for path in (paths.root, paths.manifests, paths.data, paths.catalog):
            if path.is_symlink() and not path.exists():
                raise LakeUnavailableError(f"{path} is a link to what is not there: is its disk mounted?")
        if any(paths.data.rglob("part-*.parquet")) and not paths.catalog.exists():
            raise LakeIncompatibleError(
                f"{paths.data} has files, and the catalog {paths.catalog} is gone: put it back from a backup,"
                " or move the files away to begin anew"
            )
    return False


def _log(catalog: Path) -> Path:
    """Return where SQLite keeps the write-ahead log."""
    return catalog.with_name(f"{catalog.name}-wal")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _connect(path: Path, read_only: bool) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
    with told_apart(f"cannot open the catalog {path}"):
        try:
            connection = _opened(uri)
        except sqlite3.OperationalError as error:
            if not read_only or not _needs_a_writable_folder(error, path.parent):
                raise
            if _size(_log(path)) > 0:
                raise LakeUnavailableError(
                    f"cannot open the catalog {path}: {error}; its log needs a folder to write in"
                ) from error
            # A lake in a folder that cannot be written, with no writer: no log can be opened or is needed.
            connection = _opened(uri + "&immutable=1")
        if not read_only:
            connection.execute("PRAGMA synchronous = FULL")
    return connection


def _opened(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
    try:
        connection.execute("SELECT 1 FROM rugs_cursor").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


_NO_ROOM: Final = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_IOERR_WRITE,
)
"""SQLite's codes for a disk that is too full for the index of its log."""


def _needs_a_writable_folder(error: sqlite3.OperationalError, folder: Path) -> bool:
    """Whether SQLite failed because it cannot make its log and index beside the database: not one that is busy."""
    if error.sqlite_errorcode in _NO_ROOM:
        return True
    refusals = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)
    return error.sqlite_errorcode & 0xFF in refusals and not os.access(folder, os.W_OK)


def _create(paths: LakePaths) -> None:
    """Make an empty catalog beside its final name, and link it there: it is whole or absent."""
    try:
        paths.create()
    except OSError as error:
        raise LakeUnavailableError(
            f"cannot write {paths.root}: {error.strerror}; set RUGS_DATA_DIR to a folder you own"
        ) from error
    unfinished = paths.catalog.with_name(f"new-{time.time_ns()}.sqlite")
    try:
        connection = sqlite3.connect(unfinished, isolation_level=None)
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        for script in ("ducklake.sql", "tables.sql", "ids.sql", "changes.sql", "following.sql"):
            execute_script(connection, script)
        _insert_first_snapshots(connection, paths)
        connection.execute("COMMIT")
        connection.close()
        with suppress(FileExistsError):  # another process was faster; its catalog is as empty as ours
            paths.catalog.hardlink_to(unfinished)
        fsync_folder(paths.manifests)
    except (OSError, sqlite3.Error) as error:
        raise LakeUnavailableError(f"cannot make the catalog {paths.catalog}: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def execute_script(connection: sqlite3.Connection, name: str) -> None:
    """Run a script of this package inside the open transaction; `executescript` would commit it first."""
    statement = ""
    for line in resources.files("rugs_lake").joinpath(name).read_text().splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    """Return whether there is a table; a lake that only older programs have opened may lack it."""
    return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchone() is not None


def make_once(catalog: Catalog, table: str, make: Callable[[sqlite3.Connection], object]) -> None:
    """Make a table, and what belongs to it, in a lake from before there was any."""
    if has_table(catalog.connection, table):
        return
    with catalog.transaction() as connection:
        if not has_table(connection, table):  # another process may have been faster
            make(connection)


_COLUMN_DEFAULTS: Final = (None, "NULL", 1, None, "literal", "duckdb")
"""A DuckLake column that has no default and may be null."""


def begin_columns(connection: sqlite3.Connection, snapshot: int, columns: Iterable[Column]) -> None:
    """Add columns to the table from a snapshot on, whose schema is a new one."""
    connection.executemany(
        "INSERT INTO ducklake_column VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(c.field_id, snapshot, None, TABLE_ID, c.field_id, c.name, c.ducklake, *_COLUMN_DEFAULTS) for c in columns],
    )
    connection.execute(
        "INSERT INTO ducklake_schema_versions"
        " SELECT snapshot_id, schema_version, ? FROM ducklake_snapshot WHERE snapshot_id = ?",
        (TABLE_ID, snapshot),
    )


def _insert_first_snapshots(connection: sqlite3.Connection, paths: LakePaths) -> None:
    def insert(table: str, *rows: tuple[Any, ...]) -> None:
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - our own names

    insert(
        "ducklake_metadata",
        ("version", DUCKLAKE_VERSION, None, None),
        ("created_by", AUTHOR, None, None),
        ("data_path", data_path(paths), None, None),
        ("encrypted", "false", None, None),
    )
    now = snapshot_time(now_us())
    insert("rugs_announced", (0,), (FIRST_SNAPSHOT,))
    insert("ducklake_snapshot", (0, now, 0, TABLE_ID, 0), (FIRST_SNAPSHOT, now, 1, NEXT_CATALOG_ID, 0))
    insert(
        "ducklake_snapshot_changes",
        (0, 'created_schema:"main"', AUTHOR, None, None),
        (FIRST_SNAPSHOT, f'created_table:"main"."{TABLE}"', AUTHOR, None, None),
    )
    insert("ducklake_schema", (SCHEMA_ID, str(uuid.uuid4()), 0, None, "main", "", 1))
    insert("ducklake_table", (TABLE_ID, str(uuid.uuid4()), FIRST_SNAPSHOT, None, SCHEMA_ID, TABLE, "", 1))
    begin_columns(connection, FIRST_SNAPSHOT, COLUMNS)
    insert("ducklake_partition_info", (PARTITION_ID, TABLE_ID, FIRST_SNAPSHOT, None))
    ids = {c.name: c.field_id for c in COLUMNS}
    insert(
        "ducklake_partition_column",
        (PARTITION_ID, TABLE_ID, 0, ids["doc_type"], "identity"),
        (PARTITION_ID, TABLE_ID, 1, ids["date"], "identity"),
    )
    connection.execute("DELETE FROM rugs_announced")


def foreign_changes(catalog: Catalog) -> list[str]:
    """Return what another program has written to the catalog, a line each: nothing, if all is well.

    A stale table statistic alone makes DuckLake's readers answer 0 of 50 rows.
    """
    found = []
    author = catalog.one(
        "SELECT author FROM ducklake_snapshot LEFT JOIN ducklake_snapshot_changes USING (snapshot_id)"
        " ORDER BY snapshot_id DESC LIMIT 1"
    )
    if author != (AUTHOR,):
        found.append("the newest snapshot was not written by Rugbus")
    for table in ("ducklake_delete_file", "ducklake_table_stats", "ducklake_table_column_stats"):
        if catalog.one(f"SELECT count(*) FROM {table}") != (0,):  # noqa: S608 - our own names
            found.append(f"{table} has rows: another program has written to this catalog")
    for (table,) in catalog.all("SELECT table_name FROM ducklake_inlined_data_tables"):
        found.append(f"inlined rows in {table}: another program has written to this catalog")
    return found


FREE_PAGES: Final = 64
"""Pages of the catalog that may be free: they are soon used again."""
_STEP_PAGES: Final = 128


def give_back_space(catalog: Catalog) -> None:
    """Return pages that the catalog needs no more to the disk, in short steps. A lake from before keeps them."""
    connection = catalog.connection
    if catalog.one("PRAGMA auto_vacuum") != (2,):
        return
    while (free := catalog.one("PRAGMA freelist_count")[0]) > max(
        FREE_PAGES, catalog.one("PRAGMA page_count")[0] // 16
    ):
        connection.execute(f"PRAGMA incremental_vacuum({_STEP_PAGES})").fetchall()
        if catalog.one("PRAGMA freelist_count")[0] >= free:
            return


def rebuild(catalog: Catalog) -> None:
    """Write a catalog from before `give_back_space` anew, so that it can; nobody can write to it meanwhile."""
    if catalog.one("PRAGMA auto_vacuum") != (2,):
        catalog.connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        catalog.connection.execute("VACUUM")


def data_path(paths: LakePaths) -> str:
    """Return the data path as DuckLake stores it: absolute, with a slash at the end."""
    return f"{paths.data.resolve()}/"


def snapshot_time(micros: int) -> str:
    """Return a time as DuckLake writes it: ``2026-11-21 03:04:32.336843+00``."""
    at = dt.datetime.fromtimestamp(micros // 1_000_000, dt.UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{micros % 1_000_000:06d}+00"
