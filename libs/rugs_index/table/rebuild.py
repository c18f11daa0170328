"""A table built beside the live one, which takes its place at once; who kills the rebuild leaves the live one alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rugs_index.table import indexes
from rugs_index.table.errors import IndexAbsentError, IndexDamagedError
from rugs_index.table.identity import IndexIdentity
from rugs_index.table.leftovers import remove_all_but_live
from rugs_index.table.paths import Current, IndexPaths, new_store
from rugs_index.table.row import Row, of_scopes
from rugs_index.table.store import IndexStore
from rugs_lake.store import version_file
from rugs_lake.store.paths import LakePaths

BATCH_ROWS: Final = 20_000
"""Rows that are written at once."""


class Rebuild:
    """A new table beside the live one: add scopes, then `switch`. Left without, it is removed again.

    Attributes:
        store: the new table, open. Its id is that of what it holds once it is live.

    Raises:
        IndexBusyError: if another process rebuilds.
    """

    store: IndexStore

    def __init__(self, root: Path, identity: IndexIdentity) -> None:
        self._paths = IndexPaths(root)
        self._identity = identity
        self._scopes: set[str] = set()
        self._waiting: list[Row] = []
        self._is_live = False
        self._held = ExitStack()

    def __enter__(self) -> Self:
        self._paths.create()
        with self._held as held:
            held.enter_context(self._paths.alone("rebuild"))
            remove_all_but_live(self._paths)
            self.store = IndexStore.make(self._paths, new_store(), self._identity)
            self._held = held.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        with self._held:
            self.store.close()
            if not self._is_live:
                self._paths.remove(self.store.id)

    def add(self, scopes: Mapping[str, Iterable[Row]]) -> None:
        """Add scopes with all their rows, each scope once. An id that occurs twice in a scope counts once.

        Raises:
            ValueError: if a scope was added before, or a row belongs to another scope.
        """
        if not self._scopes.isdisjoint(scopes):
            raise ValueError(f"scope {sorted(self._scopes & scopes.keys())[0]} is added a second time")
        self._scopes |= scopes.keys()
        self._waiting += of_scopes(scopes)
        while len(self._waiting) >= BATCH_ROWS:
            self._write(BATCH_ROWS)

    def finish(self, *, vectors: bool = True) -> None:
        """Write what waits, and build the indexes that are due.

        Args:
            vectors: whether to build a vector index.
        """
        self._write(len(self._waiting))
        indexes.build(self.store, vectors=vectors)

    def switch(self) -> None:
        """Make the new table the live one, durably. Readers of the old one can go on for a while, its writers cannot.

        The caller has called `finish`, unless the table shall be empty.
        """
        self.store.make_durable()
        with self._paths.writing():
            previous: str | None
            try:
                previous = self._paths.current().store
            except (IndexAbsentError, IndexDamagedError):
                previous = None
            self._paths.make_current(Current(self.store.id, self._identity, previous))
        self._is_live = True
        lake = LakePaths(self._paths.root)
        if version_file.read(lake):  # else there is no lake
            version_file.write(lake, index=self._identity.as_dict())

    def _write(self, count: int) -> None:
        rows, self._waiting = self._waiting[:count], self._waiting[count:]
        if rows:
            self.store.append(rows)


def create(root: Path, identity: IndexIdentity) -> IndexStore:
    """Make an empty table the live one, and open it.

    Raises:
        IndexBusyError: if another process rebuilds.
    """
    with Rebuild(root, identity) as new:
        new.switch()
    return IndexStore.open(root, identity)
