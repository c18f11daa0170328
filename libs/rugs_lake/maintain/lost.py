"""Giving up files that are damaged or gone, so that the lake can be written again.

While such a file is live, nobody can tell whether the ids that it held came already, so
the writer stops at the first batch that has to know. Giving it up is a person's decision
(`rugs verify --repair`): its rows are lost, which the catalog then says for ever; what the
stream or a recording still has of them can be fed again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rugs_core.time import now_us
from rugs_lake.errors import LakeError
from rugs_lake.store import faults
from rugs_lake.store.catalog import TABLE_ID, Catalog
from rugs_lake.store.commit import insert_snapshot
from rugs_lake.store.cursor import Gap
from rugs_lake.store.orphans import move_aside
from rugs_lake.store.schema import BY_NAME

LOST: Final = "lost"
"""The kind of change, and the name of the total."""


def lost_files(catalog: Catalog) -> list[str]:
    """Return every file that was given up, relative to the data folder."""
    return [scope for (scope,) in catalog.all("SELECT scope FROM rugs_change WHERE kind = ? ORDER BY 1", LOST)]


def give_up(catalog: Catalog, names: Sequence[str]) -> None:
    """End files in the catalog whose rows cannot be read any more; then move aside what is left of them.

    What a run that was killed in between has left in its place is moved by the next.

    Raises:
        LakeError: if that would give up everything: then it is the folder that is missing.
    """
    live = {path for (path,) in catalog.all("SELECT path FROM ducklake_data_file WHERE end_snapshot IS NULL")}
    damaged = [name for name in names if name in live]
    if len(damaged) == len(live) > 1:
        raise LakeError(f"not one file of the lake is whole: is {catalog.paths.data} the right folder, and mounted?")
    for name in damaged:
        with catalog.transaction() as connection:
            _give_up(connection, name)
        faults.reached("given_up")
        move_given_up(catalog)


def move_given_up(catalog: Catalog) -> list[Path]:
    """Move aside what is left of files that were given up; return where it went."""
    left = [name for name in lost_files(catalog) if (catalog.paths.data / name).exists()]
    return [move_aside(catalog.paths, name) for name in left]


def _give_up(connection: sqlite3.Connection, name: str) -> None:
    live = connection.execute(
        "SELECT data_file_id, record_count FROM ducklake_data_file WHERE path = ? AND end_snapshot IS NULL", (name,)
    ).fetchone()
    if live is None:  # replaced meanwhile, so nothing is lost
        return
    file_id, rows = live
    gaps = _held(connection, file_id, f"lost with the file {name}, which was damaged or gone")
    snapshot = insert_snapshot(connection, 0, f"deleted_from_table:{TABLE_ID}", {LOST: name})
    connection.execute("UPDATE ducklake_data_file SET end_snapshot = ? WHERE data_file_id = ?", (snapshot, file_id))
    connection.execute("DELETE FROM rugs_scope WHERE data_file_id = ?", (file_id,))
    connection.execute("INSERT INTO rugs_change (snapshot_id, kind, scope) VALUES (?, ?, ?)", (snapshot, LOST, name))
    connection.execute(
        "INSERT INTO rugs_total VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2", (LOST, rows)
    )
    connection.executemany(
        "INSERT INTO rugs_gap (stream, incarnation, first_seq, last_seq, reason, noted_us, was_taken)"
        " VALUES (?, ?, ?, ?, ?, ?, 1)",
        [(*stream, *gap, now_us()) for stream, gap in gaps],
    )


def _held(connection: sqlite3.Connection, file_id: int, reason: str) -> list[tuple[tuple[str, str], Gap]]:
    """Return the sequences that a file held rows of; nothing where their incarnation is not certain."""
    ends = connection.execute(
        "SELECT min_value, max_value FROM ducklake_file_column_stats WHERE data_file_id = ? AND column_id = ?",
        (file_id, BY_NAME["stream_seq"].field_id),
    ).fetchone()
    if ends is None:
        return []
    first, last = map(int, ends)
    streams = connection.execute(
        "SELECT DISTINCT stream, incarnation FROM rugs_range WHERE first_seq <= ? AND last_seq >= ?", (last, first)
    ).fetchall()
    return [(streams[0], Gap(first, last, reason))] if len(streams) == 1 else []
