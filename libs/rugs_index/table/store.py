"""One table of the index, open: its scopes are replaced in commits that are whole or not there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import pyarrow as pa

from rugs_index.table import durable, lance, schema
from rugs_index.table.errors import REBUILD, IndexDamagedError, IndexIncompatibleError
from rugs_index.table.identity import IndexIdentity
from rugs_index.table.paths import Current, IndexPaths, table_name
from rugs_index.table.plan import Plan, Stored, plan
from rugs_index.table.row import Row, arrow_table, of_scopes, storable

_STORED: Final = list(Stored._fields)
_SCOPES_AT_ONCE: Final = 500
"""Scopes that one query asks for."""
_ATTEMPTS: Final = 5
"""A commit is tried so often while upkeep commits between."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Change:
    """What a commit did, in rows; `version` is that of the table afterwards, None if there was nothing to do."""

    written: int
    deleted: int
    unchanged: int
    version: int | None


class IndexStore:
    """A table of the index, open. It stays that table also when a rebuild replaces it: see `rugs_index.table.live`.

    Attributes:
        id: of the table's content; a table that is built anew has another.
        identity: what the table was built with.
        commits: how many there were through this object since the last upkeep that put their rows into indexes.
    """

    def __init__(self, paths: IndexPaths, store: str, identity: IndexIdentity, table: Any, columns: pa.Schema) -> None:
        self.paths = paths
        self.id = store
        self.identity = identity
        self.table = table
        self.columns = columns
        self.commits = 0
        self._synced = durable.Synced(self.path)

    @classmethod
    def open(cls, root: Path, wanted: IndexIdentity | None = None) -> Self:
        """Open the live table below a data root.

        Args:
            wanted: with what this program would build it; None: whatever it was built with.

        Raises:
            IndexAbsentError: if there is none.
            IndexIncompatibleError: if it was built with something else.
            IndexDamagedError: if it is not whole.
        """
        paths = IndexPaths(root)
        current = paths.current()
        check_identity(paths, current, wanted)
        return cls.open_table(paths, current)

    @classmethod
    def open_table(cls, paths: IndexPaths, current: Current) -> Self:
        """Open a table, live or not.

        Raises:
            IndexDamagedError: if it is not there, or not whole.
        """
        where = paths.table(current.store)
        if not where.is_dir():
            raise IndexDamagedError(f"{where} is missing; {REBUILD}")
        table, columns = lance.run(_open(paths.database, current.table), where)
        try:
            found = schema.identity_of(columns)
        except (ValueError, LookupError, TypeError) as error:
            raise IndexDamagedError(f"{where} does not say what it was built with; {REBUILD}") from error
        if found != current.identity:
            raise IndexDamagedError(f"{where} was not built with what {paths.current_file} says; {REBUILD}")
        return cls(paths, current.store, current.identity, table, columns)

    @classmethod
    def make(cls, paths: IndexPaths, store: str, identity: IndexIdentity) -> Self:
        """Make an empty table, which is not live yet."""
        columns = schema.table_schema(identity)
        table = lance.run(_create(paths.database, table_name(store), columns), paths.table(store))
        return cls(paths, store, identity, table, columns)

    @property
    def path(self) -> Path:
        """The folder of the table."""
        return self.paths.table(self.id)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run work on the table: see `rugs_index.table.lance.run`."""
        return lance.run(work, self.path)

    def close(self) -> None:
        """Close it."""
        self.table.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def count(self) -> int:
        """Return how many rows there are."""
        return int(self.run(self.table.count_rows()))

    def count_where(self, condition: str) -> int:
        """Return how many rows fulfil a condition in SQL, which must be our own text."""
        return int(self.run(self.table.count_rows(condition)))

    def indexes(self) -> list[str]:
        """Return the columns that have an index."""
        return sorted({column for index in self.run(self.table.list_indices()) for column in index.columns})

    def scope_keys(self) -> set[str]:
        """Return all scopes that have rows."""
        return {key for batch in self.batches(["scope_key"]) for key in batch.column(0).to_pylist()}

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Give columns of all rows, piece by piece, as they are in one version of the table."""
        reader = self.run(self.table.query().select(list(columns)).to_batches(max_batch_length=4096))
        while (batch := self.run(_next(reader))) is not None:
            yield batch

    def replace_scopes(self, scopes: Mapping[str, Iterable[Row]]) -> Change:
        """Replace all rows of scopes in one commit. Rows that are as they shall be are not written.

        Args:
            scopes: rows by their scope; a scope without rows is removed. An id that occurs twice counts once.

        Raises:
            ValueError: if a row belongs to another scope.
            IndexAbsentError, IndexReplacedError: if the table is no longer the live one; nothing was written.
        """
        wanted = list(of_scopes(scopes))
        return self._change(sorted({storable(key) for key in scopes}), wanted, keeps_others=False)

    def upsert(self, rows: Iterable[Row]) -> Change:
        """Write rows in one commit: over those that have their id in their scope, and beside all others.

        Raises:
            IndexAbsentError, IndexReplacedError: if the table is no longer the live one; nothing was written.
        """
        last = {(row.scope_key, row.owner, row.id): row for row in rows}
        return self._change(sorted({row.scope_key for row in last.values()}), list(last.values()), keeps_others=True)

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows that the table does not have. For tables that nobody reads yet: nothing is compared."""
        added = arrow_table(rows, plan((), rows).keys, self.columns)
        self.run(self.table.add(added))

    def make_durable(self) -> None:
        """Make all commits durable that have returned, also if the power fails: before a checkpoint says so."""
        self._synced.sync()

    def _change(self, scopes: Sequence[str], wanted: Sequence[Row], *, keeps_others: bool) -> Change:
        with self.paths.writing(self.id):
            for attempt in range(_ATTEMPTS):
                made = plan(self.stored(scopes), wanted, keeps_others=keeps_others)
                rows = arrow_table(made.rows, made.keys, self.columns)
                try:
                    version = self.run(self._commit(made, rows)) if made else None
                except lance.IndexConflictError:
                    if attempt == _ATTEMPTS - 1:
                        raise
                else:
                    self.commits += version is not None
                    break
        return Change(len(made.rows), len(made.deleted), made.unchanged, version)

    def stored(self, scopes: Sequence[str]) -> Iterator[Stored]:
        """Give what is known of the rows of scopes."""
        is_one_of = lance.part("expr").col("scope_key").isin
        for begin in range(0, len(scopes), _SCOPES_AT_ONCE):
            some = is_one_of(scopes[begin : begin + _SCOPES_AT_ONCE])
            found = self.run(self.table.query().where(some).select(_STORED).to_arrow())
            yield from map(Stored._make, zip(*(found.column(name).to_pylist() for name in _STORED), strict=True))

    async def _commit(self, made: Plan, rows: pa.Table) -> int:
        goes = lance.part("expr").col(schema.KEY).isin(made.deleted) if made.deleted else None
        if not made.rows:
            return int((await self.table.delete(goes)).version)
        if made.inserted == len(made.rows) and goes is None:
            return int((await self.table.add(rows)).version)
        merge = self.table.merge_insert(schema.KEY).when_matched_update_all().when_not_matched_insert_all()
        if goes is not None:
            merge = merge.when_not_matched_by_source_delete(goes)
        return int((await merge.execute(rows, on_bad_vectors="null")).version)


def check_identity(paths: IndexPaths, current: Current, wanted: IndexIdentity | None) -> None:
    """Check that a table was built with what this program would build it with.

    Raises:
        IndexIncompatibleError: if not.
    """
    differences = [] if wanted is None else current.identity.differences(wanted)
    if differences:
        raise IndexIncompatibleError(f"the index in {paths.root} does not fit: {', '.join(differences)}; {REBUILD}")


async def _connect(database: Path) -> Any:
    # Each read looks for the newest version: another process may have committed.
    return await lance.lancedb().connect_async(str(database), read_consistency_interval=dt.timedelta(0))


async def _open(database: Path, name: str) -> tuple[Any, pa.Schema]:
    connection = await _connect(database)
    table = await connection.open_table(name)
    return table, await table.schema()


async def _create(database: Path, name: str, columns: pa.Schema) -> Any:
    connection = await _connect(database)
    table = await connection.create_table(name, schema=columns)
    await table.set_unenforced_primary_key(schema.KEY)
    # From the first row on: without this index there is no stemming and no folding of case.
    await table.create_index(schema.SEARCHED, config=lance.part("index").FTS())
    return table


async def _next(reader: Any) -> pa.RecordBatch | None:
    try:
        return await anext(reader)
    except StopAsyncIteration:
        return None
