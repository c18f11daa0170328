"""What waits in spools, seen from outside the programs that own them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from rugs_client.spool_file import FILE


class Waiting(NamedTuple):
    """What a spool holds that the broker does not have yet.

    `events` and `bytes` are None where they cannot be counted: `error` says why. A spool that a running program
    uses is one of these; the program knows.
    """

    path: Path
    events: int | None
    bytes: int | None
    in_use: bool = False
    error: str | None = None


def waiting_in(folder: Path) -> list[Waiting]:
    """Return the spools anywhere below a folder that hold events, or cannot be counted. Changes nothing."""
    found = [_look(path) for path in sorted(folder.rglob(FILE)) if path.parent.name.isdigit()]  # not a damaged one
    return [each for each in found if each.events != 0]


def _look(path: Path) -> Waiting:
    try:
        # Not `immutable`: what a killed program left is in the write-ahead log.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0)) as db:
            count, size = db.execute("SELECT count(*), coalesce(sum(size), 0) FROM events").fetchone()
    except sqlite3.Error as error:
        in_use = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        return Waiting(path.parent, None, None, in_use, None if in_use else str(error))
    return Waiting(path.parent, count, size)
