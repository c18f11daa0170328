"""Where the id of a derived event without a natural key, or of a keyed event, could already be.

Such an id is made of its cause or its key alone, and both can be named in any session: no
scope narrows down where it lies. So the catalog keeps an entry of 8 bytes for each: 46 bits of
the id, and the day of its row. What has no entry is new. What has one may be known: the
files of that doc type and day are looked into, so a collision costs time and nothing else.

The writer adds entries a row each; compaction packs them into sorted blocks. Each step is
a transaction of some milliseconds, and may be repeated: entries are a set.
"""

from __future__ import annotations

import sqlite3
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from rugs_lake.store.catalog import Catalog, execute_script, give_back_space, has_table, make_once

HASH_BITS: Final = 46
DAY_BITS: Final = 17
"""Days since 1970: enough until 2328, and the contract ends in 2200."""
SLICE: Final = 2_000
"""Entries that one transaction adds or packs."""
BLOCK: Final = 8_192
"""Entries of a block at the most."""
BLOCKS_AT_ONCE: Final = 2
PACK_AT: Final = 65_536
"""In the background, packing waits for as many entries, or for a 64th of what is packed: it rewrites every block."""
PACK_SHARE: Final = 64

_TABLE: Final = "rugs_id"
_DAY_MASK: Final = (1 << DAY_BITS) - 1
_END: Final = (1 << 63) - 1


def begin(catalog: Catalog) -> None:
    """Make the tables in a lake from before there were any; its files are taken over by the next compaction."""

    def make(connection: sqlite3.Connection) -> None:
        execute_script(connection, "ids.sql")
        connection.execute(
            "INSERT INTO rugs_id_untaken SELECT data_file_id FROM ducklake_data_file WHERE end_snapshot IS NULL"
        )

    make_once(catalog, _TABLE, make)


def entry_of(digest: bytes, day: int) -> int:
    """Return the entry of an id whose row lies on a day."""
    return _hash(digest) << DAY_BITS | day


def _hash(digest: bytes) -> int:
    return int.from_bytes(digest[:8]) >> (64 - HASH_BITS)


def add(connection: sqlite3.Connection, entries: Iterable[int]) -> None:
    """Add entries, inside the caller's transaction."""
    connection.executemany("INSERT OR IGNORE INTO rugs_id VALUES (?)", ((entry,) for entry in entries))


def add_ahead(catalog: Catalog, entries: Sequence[int]) -> None:
    """Add entries before their rows are committed, in transactions of their own: too many would hold the lock long."""
    for start in range(0, len(entries), SLICE):
        with catalog.transaction() as connection:
            add(connection, entries[start : start + SLICE])


def days_of(connection: sqlite3.Connection, digests: Iterable[bytes]) -> dict[bytes, list[int]]:
    """Return the days on which an id could already have a row; only the ids that have any."""
    blocks = _Blocks(connection)
    found: dict[bytes, list[int]] = {}
    for digest in sorted(digests):  # so that each block is read once
        low = entry_of(digest, 0)
        high = low | _DAY_MASK
        rows = connection.execute("SELECT entry FROM rugs_id WHERE entry BETWEEN ? AND ?", (low, high)).fetchall()
        entries = [*(entry for (entry,) in rows), *blocks.between(low, high)]
        if entries:
            found[digest] = sorted({entry & _DAY_MASK for entry in entries})
    return found


class _Blocks:
    """The packed entries, of which one block at a time is held."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._first = self._until = 0
        self._entries: array[int] = array("q")

    def between(self, low: int, high: int) -> Iterator[int]:
        """Give the entries from `low` to `high`, which share one hash and so one block."""
        if not self._first <= low < self._until:
            self._load(low)
        place = bisect_left(self._entries, low)
        while place < len(self._entries) and self._entries[place] <= high:
            yield self._entries[place]
            place += 1

    def _load(self, low: int) -> None:
        query = "SELECT first, entries FROM rugs_id_block WHERE first <= ? ORDER BY first DESC LIMIT 1"
        first, packed = self._connection.execute(query, (low,)).fetchone() or (0, b"")
        (until,) = self._connection.execute("SELECT min(first) FROM rugs_id_block WHERE first > ?", (low,)).fetchone()
        self._first, self._until, self._entries = first, _END if until is None else until, _unpacked(packed)


def is_due(connection: sqlite3.Connection) -> bool:
    """Whether there are enough new entries to pack them in the background, or files to take over."""
    if not has_table(connection, _TABLE):
        return False
    if connection.execute("SELECT 1 FROM rugs_id_untaken LIMIT 1").fetchone() is not None:
        return True
    (new,) = connection.execute("SELECT count(*) FROM rugs_id").fetchone()
    (packed,) = connection.execute("SELECT coalesce(sum(length(entries)), 0) / 8 FROM rugs_id_block").fetchone()
    return bool(new >= max(PACK_AT, packed // PACK_SHARE))


def pack(catalog: Catalog, *, all_entries: bool = True) -> None:
    """Pack new entries into blocks; in the background (not `all_entries`) only once there are many."""
    if not has_table(catalog.connection, _TABLE) or not (all_entries or is_due(catalog.connection)):
        return
    place: int | None = 0
    while place is not None:
        with catalog.transaction() as connection:
            place = _pack_slice(connection, place)
    give_back_space(catalog)


def _pack_slice(connection: sqlite3.Connection, start: int) -> int | None:
    """Pack some new entries from `start` on; return where to go on, None at the end."""
    (least,) = connection.execute("SELECT min(entry) FROM rugs_id WHERE entry >= ?", (start,)).fetchone()
    if least is None:
        return None
    blocks = connection.execute(
        "SELECT first, entries FROM rugs_id_block"
        " WHERE first >= coalesce((SELECT max(first) FROM rugs_id_block WHERE first <= ?), 0) ORDER BY first LIMIT ?",
        (least, BLOCKS_AT_ONCE + 1),
    ).fetchall()
    until = blocks[BLOCKS_AT_ONCE][0] if len(blocks) > BLOCKS_AT_ONCE else _END
    query = "SELECT entry FROM rugs_id WHERE entry >= ? AND entry < ? ORDER BY entry LIMIT ?"
    new: list[int] = [entry for (entry,) in connection.execute(query, (least, until, SLICE))]
    merged = set(new)
    for first, packed in blocks[:BLOCKS_AT_ONCE]:
        if first <= new[-1]:
            merged.update(_unpacked(packed))
            connection.execute("DELETE FROM rugs_id_block WHERE first = ?", (first,))
    connection.executemany(
        "INSERT INTO rugs_id_block VALUES (?, ?)",
        [(_lowest(piece[0]), _packed(piece)) for piece in _pieces(sorted(merged))],
    )
    connection.execute("DELETE FROM rugs_id WHERE entry BETWEEN ? AND ?", (new[0], new[-1]))
    return new[-1] + 1


def _lowest(entry: int) -> int:
    """Return the least entry with the same hash."""
    return entry & ~_DAY_MASK


def _pieces(entries: Sequence[int]) -> Iterator[Sequence[int]]:
    """Cut entries into blocks of like size; those with the same hash stay together."""
    size = -(-len(entries) // -(-len(entries) // BLOCK))
    start = 0
    while start < len(entries):
        end = min(start + size, len(entries))
        while end < len(entries) and _lowest(entries[end]) == _lowest(entries[end - 1]):
            end += 1
        yield entries[start:end]
        start = end


def _packed(entries: Iterable[int]) -> bytes:
    values = array("q", entries)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def _unpacked(packed: bytes) -> array[int]:
    values = array("q", packed)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def untaken(connection: sqlite3.Connection) -> list[int]:
    """Return the files whose derived ids are still known by their cause, in `rugs_scope`."""
    return [file_id for (file_id,) in connection.execute("SELECT data_file_id FROM rugs_id_untaken ORDER BY 1")]


def rename_untaken(connection: sqlite3.Connection, new_ids: Mapping[int, int]) -> None:
    """Note that files were replaced by others with the same rows, inside the caller's transaction."""
    if has_table(connection, _TABLE):
        connection.executemany(
            "UPDATE rugs_id_untaken SET data_file_id = ? WHERE data_file_id = ?",
            [(new, old) for old, new in new_ids.items()],
        )
