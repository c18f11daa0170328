"""The cursor: how far into a stream the lake has come, and in which life of it.

An acknowledged-after-write consumer is not exactly-once. So the lake itself remembers
what it took, in the same transaction as the rows, and every commit compares and swaps.
"""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
from dataclasses import dataclass, replace
from typing import NamedTuple

from rugs_core.errors import TakenOverError
from rugs_core.time import now_us
from rugs_lake.errors import LakeError
from rugs_lake.store import positions
from rugs_lake.store.catalog import Catalog
from rugs_proto.message import Message


class SupersededError(LakeError, TakenOverError):
    """Another writer has taken over this stream: this one must stop, and has lost nothing."""


class Gap(NamedTuple):
    """Sequences that the lake never received; `last_seq` None where the end is not known."""

    first_seq: int
    last_seq: int | None
    reason: str


@dataclass(frozen=True)
class Cursor:
    """The last message taken of a stream; `last_seq` 0 where none was taken yet.

    Attributes:
        epoch: which writer may commit; every start takes the next.
        last_time_us: the broker's time of message `last_seq`.
        last_hash: BLAKE2b-128 of its body.
    """

    stream: str
    incarnation: str
    epoch: int
    last_seq: int = 0
    last_time_us: int | None = None
    last_hash: bytes | None = None

    def is_at(self, message: Message | None) -> bool:
        """Whether `message`, found in the stream at `last_seq`, is the one that was taken."""
        return (
            message is not None
            and message.seq == self.last_seq
            and message.time_us == self.last_time_us
            and body_hash(message.body) == self.last_hash
        )


def body_hash(body: bytes) -> bytes:
    """Return the hash that a message is recognised by."""
    return hashlib.blake2b(body, digest_size=16).digest()


def take_epoch(catalog: Catalog, stream: str) -> Cursor:
    """Make this process the writer of a stream; whoever was it before can commit no more."""
    with catalog.transaction() as connection:
        taken = connection.execute("UPDATE rugs_cursor SET epoch = epoch + 1 WHERE stream = ?", (stream,))
        if taken.rowcount == 0:
            incarnation = uuid.uuid4().hex
            connection.execute(
                "INSERT INTO rugs_cursor (stream, incarnation, last_seq, epoch) VALUES (?, ?, 0, 1)",
                (stream, incarnation),
            )
            positions.assign_number(connection, stream, incarnation)
        return read_cursor(connection, stream)


def read_cursor(connection: sqlite3.Connection, stream: str) -> Cursor:
    """Return a stream's cursor.

    Raises:
        LakeError: if the lake has never taken anything of that stream.
    """
    row = connection.execute(
        "SELECT stream, incarnation, epoch, last_seq, last_time_us, last_hash FROM rugs_cursor WHERE stream = ?",
        (stream,),
    ).fetchone()
    if row is None:
        raise LakeError(f"the lake has taken nothing of the stream {stream} yet")
    return Cursor(*row)


def check_unmoved(connection: sqlite3.Connection, expected: Cursor) -> None:
    """Check, inside the transaction, that the cursor is still where this writer left it.

    Raises:
        SupersededError: if another writer has taken the epoch or moved the cursor.
    """
    found = read_cursor(connection, expected.stream)
    if found != expected:
        raise SupersededError(
            f"another writer took over {expected.stream} (epoch {found.epoch}, this one had {expected.epoch})"
        )


def begin_incarnation(catalog: Catalog, cursor: Cursor, incarnation: str, reason: str) -> Cursor:
    """Start over at the first message of a stream that is not the one the lake knew.

    What of the old incarnation was never taken is noted as a gap with no known end.
    """
    begun = Cursor(cursor.stream, incarnation, cursor.epoch)
    with catalog.transaction() as connection:
        check_unmoved(connection, cursor)
        if cursor.last_seq > 0:
            insert_gaps(connection, cursor, [Gap(cursor.last_seq + 1, None, reason)])
        _begin(connection, begun)
    return begun


def adopt_incarnation(catalog: Catalog, cursor: Cursor, incarnation: str) -> Cursor:
    """Take a stream's own incarnation for a cursor that has taken nothing yet.

    Not one that the lake knows already: it has left that, and died before it could say so to the stream.
    """
    adopted = replace(cursor, incarnation=incarnation)
    with catalog.transaction() as connection:
        check_unmoved(connection, cursor)
        for table in ("rugs_range", "rugs_gap"):
            known = f"SELECT 1 FROM {table} WHERE stream = ? AND incarnation = ? LIMIT 1"  # noqa: S608 - our own names
            if connection.execute(known, (cursor.stream, incarnation)).fetchone() is not None:
                return cursor
        _begin(connection, adopted)
    return adopted


def _begin(connection: sqlite3.Connection, begun: Cursor) -> None:
    move(connection, begun)
    positions.assign_number(connection, begun.stream, begun.incarnation)


def move(connection: sqlite3.Connection, cursor: Cursor) -> None:
    """Write a cursor, inside the caller's transaction."""
    connection.execute(
        "UPDATE rugs_cursor SET incarnation = ?, epoch = ?, last_seq = ?, last_time_us = ?, last_hash = ?"
        " WHERE stream = ?",
        (cursor.incarnation, cursor.epoch, cursor.last_seq, cursor.last_time_us, cursor.last_hash, cursor.stream),
    )


def insert_gaps(connection: sqlite3.Connection, cursor: Cursor, gaps: list[Gap]) -> None:
    """Write gap rows of the cursor's incarnation, inside the caller's transaction."""
    now = now_us()
    connection.executemany(
        "INSERT INTO rugs_gap (stream, incarnation, first_seq, last_seq, reason, noted_us) VALUES (?, ?, ?, ?, ?, ?)",
        [(cursor.stream, cursor.incarnation, gap.first_seq, gap.last_seq, gap.reason, now) for gap in gaps],
    )
