"""Positions in the lake: how far somebody has read it, over all incarnations of a stream.

The catalog numbers incarnations in the order in which the lake began them. The lake takes rows of the last one only,
so all rows of a stream have an order: by the number of their incarnation, then by stream sequence.
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

import orjson

from rugs_lake.store.catalog import Catalog, execute_script, has_table, make_once


class Position(NamedTuple):
    """A position in one stream's rows, and in the changes of the lake.

    Attributes:
        incarnation: number of an incarnation; 0: before the first.
        seq: stream sequence in it. Rows of earlier incarnations, and of this one up to here, are below the position.
        change: number of the last change.
    """

    incarnation: int = 0
    seq: int = 0
    change: int = 0

    def is_within(self, end: Position) -> bool:
        """Whether the position is not above `end`, neither in rows nor in changes."""
        return self[:2] <= end[:2] and self.change <= end.change


def begin(catalog: Catalog) -> None:
    """Make the tables in a lake from before there were any, and number the incarnations that it knows."""

    def make(connection: sqlite3.Connection) -> None:
        execute_script(connection, "following.sql")
        connection.execute(f"INSERT INTO rugs_incarnation {_KNOWN_BEFORE}")

    make_once(catalog, "rugs_incarnation", make)


def assign_number(connection: sqlite3.Connection, stream: str, incarnation: str) -> None:
    """Give the next number to an incarnation that begins, inside the caller's transaction."""
    connection.execute("INSERT OR REPLACE INTO rugs_incarnation VALUES (NULL, ?, ?)", (stream, incarnation))


def incarnations(connection: sqlite3.Connection, stream: str) -> dict[int, str]:
    """Return the incarnations of a stream by their numbers, in order."""
    table = "rugs_incarnation" if is_there(connection) else f"({_KNOWN_BEFORE})"
    query = f"SELECT number, incarnation FROM {table} WHERE stream = ? ORDER BY number"  # noqa: S608 - our own text
    return dict(connection.execute(query, (stream,)).fetchall())


def cursors_at(catalog: Catalog, snapshot: int) -> list[tuple[str, str, int]]:
    """Return (stream, incarnation, last sequence) that a snapshot had come to: none before the first event."""
    row = catalog.one("SELECT commit_extra_info FROM ducklake_snapshot_changes WHERE snapshot_id = ?", snapshot)
    told = orjson.loads(row[0]) if row and row[0] else {}
    return [tuple(cursor) for cursor in told.get("cursors", [])]


def position_at(catalog: Catalog, snapshot: int, stream: str) -> Position:
    """Return the position of a snapshot: all its rows of the stream are below it, and all rows that came later above.

    Call it inside `catalog.reading()`: the answer comes out of three tables.
    """
    numbers = {known: place for place, known in incarnations(catalog.connection, stream).items()}
    cursor = next((cursor for cursor in cursors_at(catalog, snapshot) if cursor[0] == stream), (stream, "", 0))
    (change,) = catalog.one("SELECT coalesce(max(number), 0) FROM rugs_change WHERE snapshot_id <= ?", snapshot)
    return Position(numbers.get(cursor[1], 0), cursor[2], change)


def is_there(connection: sqlite3.Connection) -> bool:
    """Whether the lake has the tables; one that only older programs have written has not."""
    return has_table(connection, "rugs_incarnation")


_KNOWN_BEFORE: Final = """
SELECT row_number() OVER (ORDER BY max(is_last), min(gap_id), incarnation) AS number, stream, incarnation FROM (
    SELECT stream, incarnation, 1 AS is_last, NULL AS gap_id FROM rugs_cursor
    UNION ALL SELECT stream, incarnation, 0, NULL FROM rugs_range
    UNION ALL SELECT stream, incarnation, 0, gap_id FROM rugs_gap WHERE last_seq IS NULL
) GROUP BY stream, incarnation
"""
"""The incarnations of a lake from before the table: each but the last was left with a gap of unknown end."""
