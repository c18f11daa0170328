"""The indexes of the table: which there are, from how many rows on, and how they are kept current.

Rows that are in no index yet are found as well: LanceDB reads them one by one. So indexes are only ever about speed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rugs_index.table import lance, schema
from rugs_index.table.errors import IndexBusyError
from rugs_index.table.leftovers import remove_leftovers
from rugs_index.table.store import IndexStore

INDEX_ROWS: Final = 1_000
"""Rows from which on there are scalar indexes and the one for full-text search."""
VECTOR_INDEX_ROWS: Final = 5_000
"""Rows from which on there is a vector index: below, reading all vectors takes less than 8 ms."""
PARTITION_ROWS: Final = 1_000
"""Rows of a partition of the vector index."""
KEPT: Final = dt.timedelta(minutes=10)
"""How long a replaced version of the table is kept, for queries that still read it."""

_LEAST_KEPT: Final = dt.timedelta(milliseconds=1)
"""LanceDB warns of 0, in the tone of a mistake."""
_GROWTH: Final = 4
"""The vector index is built anew when the table has so many times the rows that it was built for."""
_UNINDEXED_ROWS: Final = 500
_UNINDEXED_SHARE: Final = 0.005
_SMALL_PARTS: Final = 100
"""An upkeep of everything is worth its work when so many rows are in no index, or the table has so many parts."""
_COMMITS: Final = 8
"""After so many commits the indexes that commits use are built anew: each commit looks through the parts behind it."""

_WRITERS: Final = (schema.KEY, "scope_key")
"""The columns by which a commit looks for rows."""
_TREES: Final = (
    *_WRITERS, "id", "game_id", "session_id", "field_path", schema.STARTS, schema.ENDS, *schema.NUMBERS,
)  # fmt: skip
_BITMAPS: Final = ("owner", "kind", "doc_type", "event_type")
_VECTOR_NAME: Final = "vector_of_"


@dataclass(frozen=True)
class Upkeep:
    """What an upkeep did.

    Attributes:
        built: the indexes that were built, by column.
        refreshed: whether those that commits use were built anew.
        optimised: whether new rows went into the indexes, and small parts of the table together.
        removed: tables of killed rebuilds, and replaced ones, that were removed.
    """

    built: tuple[str, ...] = ()
    refreshed: bool = False
    optimised: bool = False
    removed: int = 0


def keep_optimised(
    store: IndexStore, *, vectors: bool = True, force: bool = False, kept: dt.timedelta = KEPT
) -> Upkeep:
    """Build the indexes that are due, put new rows into them, and remove what nobody reads any more.

    Writers go on meanwhile, and readers too. It reads and writes up to the whole table where there is something to do;
    where there is not, it takes milliseconds.

    Args:
        vectors: whether to build a vector index.
        force: whether to do it all, also where it is not worth its work yet.
        kept: versions of the table that were replaced longer ago are removed. 0 where chunks must be gone for good: a
            query that still reads them fails.

    Raises:
        IndexBusyError: if another process is at it.
        IndexAbsentError: if the index was deleted.
    """
    with store.paths.alone("upkeep"):
        built = build(store, vectors=vectors)
        due = force or store.run(_is_due(store.table))
        refreshed = not due and store.commits >= _COMMITS and store.run(_refresh(store.table))
        try:
            if due:
                store.run(store.table.optimize(cleanup_older_than=max(kept, _LEAST_KEPT)))
        except lance.IndexConflictError as error:
            raise IndexBusyError(f"{error}: upkeep is tried again the next time") from error
        if due or refreshed:
            store.commits = 0
        return Upkeep(built, refreshed, due, remove_leftovers(store.paths))


def build(store: IndexStore, *, vectors: bool = True) -> tuple[str, ...]:
    """Build the indexes that the table should have and does not; return their columns.

    Args:
        vectors: whether to build a vector index.
    """
    return tuple(store.run(_build(store, vectors=vectors)))


async def _build(store: IndexStore, *, vectors: bool) -> list[str]:
    table = store.table
    rows = await table.count_rows()
    there = {index.name: index for index in await table.list_indices()}
    filled = {column for index in there.values() for column in index.columns if index.num_indexed_rows}
    built = []
    if rows >= INDEX_ROWS:
        for column, config in _configs():
            if column not in filled:
                await table.create_index(column, config=config)
                built.append(column)
    if vectors and schema.VECTOR in store.columns.names and await _build_vector_index(table, there):
        built.append(schema.VECTOR)
    return built


async def _build_vector_index(table: Any, there: Mapping[str, Any]) -> bool:
    """Build the vector index if it is due; return whether it was."""
    old = next((name for name in there if name.startswith(_VECTOR_NAME)), None)
    least = VECTOR_INDEX_ROWS if old is None else _GROWTH * int(old.removeprefix(_VECTOR_NAME))
    if await table.count_rows() < least or (rows := await table.count_rows("vector IS NOT NULL")) < least:
        return False
    config = lance.part("index").IvfSq(distance_type="cosine", num_partitions=max(1, rows // PARTITION_ROWS))
    await table.create_index(schema.VECTOR, config=config, name=f"{_VECTOR_NAME}{rows}")
    if old is not None:
        await table.drop_index(old)
    return True


def _configs() -> Iterator[tuple[str, Any]]:
    index = lance.part("index")
    yield from ((column, index.BTree()) for column in _TREES)
    yield from ((column, index.Bitmap()) for column in _BITMAPS)
    yield schema.SEARCHED, index.FTS()


async def _refresh(table: Any) -> bool:
    """Build the indexes that commits use anew, where there are any; return whether there are."""
    there = {column: index.name for index in await table.list_indices() for column in index.columns}
    for column in _WRITERS:
        if column not in there:
            return False
        await table.create_index(column, config=lance.part("index").BTree(), name=there[column])
    return True


async def _is_due(table: Any) -> bool:
    """Return whether upkeep is worth its work."""
    rows = await table.count_rows()
    unindexed = [index.num_unindexed_rows or 0 for index in await table.list_indices()]
    parts = (await table.stats())["fragment_stats"]["num_small_fragments"]
    many = max(_UNINDEXED_ROWS, int(_UNINDEXED_SHARE * rows))
    return bool(parts > _SMALL_PARTS or max(unindexed, default=0) > many)
