"""Leases: a snapshot is kept, with its files, for a reader that needs it longer than old files are kept.

A lease is a row of the catalog, so whoever expires snapshots sees it in the same
transaction. It has an end: a reader that dies without releasing it holds nothing for ever.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
import uuid
from pathlib import Path
from typing import Any, Final, NamedTuple

from rugs_core.time import SECOND_US, from_us, now_us
from rugs_lake.errors import LakeError
from rugs_lake.store.catalog import Catalog, has_table, reading_catalog
from rugs_lake.store.paths import LakePaths

_TABLE: Final = "rugs_lease"
_CREATE: Final = """
CREATE TABLE IF NOT EXISTS rugs_lease (
    lease_id TEXT PRIMARY KEY,
    snapshot_id INTEGER NOT NULL,
    until_us INTEGER NOT NULL           -- it holds nothing from then on
) WITHOUT ROWID
"""


class Lease(NamedTuple):
    """A snapshot that is kept until a time (UTC)."""

    lease_id: str
    snapshot: int
    until: dt.datetime

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes, as `rugs files --leases --json` prints them."""
        return {"lease": self.lease_id, "snapshot": self.snapshot, "until": self.until.isoformat()}


def hold(root: Path, snapshot: int, seconds: float) -> Lease:
    """Keep a snapshot and its files for so long, whatever compaction replaces meanwhile.

    Raises:
        LakeError: if there is no such snapshot any more, or the lake cannot be written.
    """
    lease_id = uuid.uuid4().hex[:12]
    until_us = now_us() + int(seconds * SECOND_US)
    with Catalog(LakePaths(root)) as catalog:
        try:
            with catalog.transaction() as connection:
                connection.execute(_CREATE)
                known = connection.execute("SELECT 1 FROM ducklake_snapshot WHERE snapshot_id = ?", (snapshot,))
                if known.fetchone() is None:
                    raise LakeError(f"snapshot {snapshot} has expired: open the lake again, and hold it at once")
                connection.execute("INSERT INTO rugs_lease VALUES (?, ?, ?)", (lease_id, snapshot, until_us))
        except sqlite3.Error as error:
            raise LakeError(f"cannot hold snapshot {snapshot}: {error}") from error
    return Lease(lease_id, snapshot, from_us(until_us))


def release(root: Path, lease_id: str) -> bool:
    """End a lease; return whether there was one.

    Raises:
        LakeError: if there is no lake.
    """
    with Catalog(LakePaths(root)) as catalog:
        if not has_table(catalog.connection, _TABLE):
            return False
        with catalog.transaction() as connection:
            ended = connection.execute("DELETE FROM rugs_lease WHERE lease_id = ?", (lease_id,))
            return ended.rowcount > 0


def end_all(catalog: Catalog) -> int:
    """End every lease, whoever holds it; return how many there were."""
    if not has_table(catalog.connection, _TABLE):
        return 0
    with catalog.transaction() as connection:
        return connection.execute("DELETE FROM rugs_lease").rowcount


def leases(root: Path) -> list[Lease]:
    """Return the leases that hold, the first to end first.

    Raises:
        LakeError: if there is no lake.
    """
    with reading_catalog(root) as catalog:
        if not has_table(catalog.connection, _TABLE):
            return []
        query = "SELECT lease_id, snapshot_id, until_us FROM rugs_lease WHERE until_us > ? ORDER BY until_us"
        rows = catalog.all(query, now_us())
    return [Lease(lease_id, snapshot, from_us(until_us)) for lease_id, snapshot, until_us in rows]


def begin(catalog: Catalog) -> None:
    """Make the table where there is none, and forget the leases that have ended."""
    if not has_table(catalog.connection, _TABLE):
        catalog.connection.execute(_CREATE)
    elif catalog.one("SELECT 1 FROM rugs_lease WHERE until_us <= ? LIMIT 1", now_us()) is not None:
        with catalog.transaction() as connection:
            connection.execute("DELETE FROM rugs_lease WHERE until_us <= ?", (now_us(),))


HELD: Final = "SELECT snapshot_id FROM rugs_lease"
"""The snapshots that are held, once `begin` has been called."""
