"""The file behind a spool: its tables, how rows get in and out, and what can be read of a damaged one."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from rugs_client.events import Entry
from rugs_core.files import fsync_folder

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY AUTOINCREMENT, -- it goes on from the last one even when all are gone
    source TEXT NOT NULL, session_id TEXT NOT NULL, seq INTEGER NOT NULL,
    doc_type TEXT NOT NULL, event TEXT NOT NULL, id TEXT NOT NULL, ts INTEGER NOT NULL,
    lost INTEGER NOT NULL, size INTEGER NOT NULL, checksum INTEGER NOT NULL,
    body BLOB NOT NULL, large BLOB
);
CREATE TABLE IF NOT EXISTS sessions (
    source TEXT NOT NULL, session_id TEXT NOT NULL,
    next_seq INTEGER NOT NULL, -- no number from here on has been used
    ts INTEGER NOT NULL,       -- the session lived then, microseconds; or since when it misses something
    closed INTEGER NOT NULL,   -- 0: it goes on; 1: it ended in order; 2: it ended, and has a gap to be told of
    PRIMARY KEY (source, session_id)
);
CREATE TABLE IF NOT EXISTS sign_of_life ( -- one row: both clocks, when the process last lived, microseconds
    only INTEGER PRIMARY KEY CHECK (only = 1), wall INTEGER NOT NULL, boot INTEGER NOT NULL, boot_id TEXT NOT NULL
);
"""
_COLUMNS: Final = "source, session_id, seq, doc_type, event, id, ts, body, large, lost"
_STORED: Final = _COLUMNS.count(",") + 1
"""How many of an entry's fields these are, the first ones."""
INSERT: Final = (
    f"INSERT OR REPLACE INTO events (position, {_COLUMNS}, size, checksum)"  # noqa: S608 (a constant)
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
SELECT: Final = f"SELECT position, {_COLUMNS}, checksum FROM events"  # noqa: S608 (a constant)
FILE: Final = "events.sqlite"
_OVERHEAD: Final = 200
"""Bytes that a row counts beside its body."""
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Row(NamedTuple):
    """An entry and where it stands."""

    position: int
    entry: Entry


class DamagedError(sqlite3.DatabaseError):
    """A row is not what was written."""


def open_file(folder: Path) -> sqlite3.Connection:
    """Open the folder's file, or make it, for this process alone.

    Raises:
        sqlite3.Error: if the disk does not allow it, another process has it, or it is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for parent in folder.parents[:2]:
        with suppress(OSError):  # where the system knows how
            fsync_folder(parent)
    db = sqlite3.connect(folder / FILE, timeout=0, check_same_thread=False)
    try:
        # Exclusive, and so before WAL begins: a second process is refused, and no shared memory is needed.
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
            db.execute(f"PRAGMA {pragma}").fetchall()
        db.executescript(_TABLES)
        db.execute("BEGIN IMMEDIATE")  # takes the lock, or says that another has it
        db.execute("COMMIT")
    except sqlite3.Error:
        db.close()
        raise
    return db


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error means that the file is damaged, not only that the disk fails now."""
    return isinstance(error, DamagedError) or getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def size_of(entry: Entry | None) -> int:
    """Return the bytes that an entry counts against a bound."""
    return 0 if entry is None else entry.size + _OVERHEAD


def _checksum(entry: Entry) -> int:
    head = repr(entry[:7]).encode("utf-8", "surrogatepass")
    return zlib.crc32(entry.large or b"", zlib.crc32(entry.body, zlib.crc32(head)))


def row_of(values: tuple[Any, ...]) -> Row:
    """Return a row from what `SELECT` gives.

    Raises:
        DamagedError: if it is not what was written.
    """
    position, *columns, checksum = values
    entry = Entry(*columns)
    # Damage can also change the type of a value.
    if type(entry.body) is not bytes or type(entry.large) not in (bytes, type(None)) or _checksum(entry) != checksum:
        raise DamagedError(f"the row at {position} is not what was written")
    return Row(position, entry)


def values_of(row: Row) -> tuple[Any, ...]:
    """Return what `INSERT` takes."""
    return row.position, *row.entry[:_STORED], size_of(row.entry), _checksum(row.entry)


def readable_rows(damaged: sqlite3.Connection) -> Iterator[Row]:
    """Yield the rows that are what was written, in order."""
    damaged.execute("PRAGMA writable_schema=ON")  # else a file that was cut short is not read at all
    positions: set[int] = set()
    for order in ("ASC", "DESC"):  # from both ends, up to the damage
        with suppress(sqlite3.DatabaseError):
            for (position,) in damaged.execute(f"SELECT position FROM events ORDER BY position {order}"):  # noqa: S608
                positions.add(position)
    for position in sorted(positions):
        with suppress(sqlite3.DatabaseError):
            yield from map(row_of, damaged.execute(f"{SELECT} WHERE position = ?", (position,)).fetchall())
