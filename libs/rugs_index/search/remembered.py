"""What a search remembers of a table between two questions: its catalog, and the newest moment that it knows of."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from rugs_index import kinds
from rugs_index.search.catalog import COLUMNS, Catalog, catalog_of
from rugs_index.search.filters import EVERYONE, Filters, expression
from rugs_index.search.legs import exact_leg
from rugs_index.table import schema
from rugs_index.table.store import IndexStore

_PROTOCOL: Final = Filters(owner=EVERYONE, kinds=kinds.PROTOCOL)
_GAMES: Final = Filters(owner=EVERYONE, kinds=(kinds.GAME,))

Version = tuple[str, int]
"""The content of a table at one time."""


class Remembered:
    """What was read of a table, and is read again when the table has changed. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version: Version | None = None
        self._content: frozenset[bytes] = frozenset()
        self._catalog: Catalog | None = None
        self._newest: tuple[Version, int] | None = None

    def catalog(self, store: IndexStore) -> Catalog:
        """Return the catalog of a table."""
        version = _version(store)
        with self._lock:
            if self._catalog is None or version != self._version:
                content = frozenset(_read(store, [schema.CONTENT], lambda row: bytes(row[schema.CONTENT])))
                if self._catalog is None or content != self._content:
                    self._catalog = catalog_of(_read(store, [*COLUMNS, *_vector(store)], lambda row: row))
                self._version, self._content = version, content
            return self._catalog

    def newest(self, store: IndexStore) -> int | None:
        """Return when the newest game of a table began, in microseconds; None if it has none."""
        version = _version(store)
        if self._newest is None or self._newest[0] != version:
            hits = exact_leg(store, 1, _GAMES, by=schema.STARTS, descending=True)
            began = hits[0].metadata.get("ts") if hits else None
            if not isinstance(began, int):
                return None
            self._newest = version, began
        return self._newest[1]


def _version(store: IndexStore) -> Version:
    return store.id, int(store.run(store.table.version()))


def _vector(store: IndexStore) -> list[str]:
    return [schema.VECTOR] if schema.VECTOR in store.columns.names else []


def _read(store: IndexStore, columns: list[str], made: Callable[[dict[str, Any]], Any]) -> list[Any]:
    """Return rows about the protocol."""
    query = store.table.query().where(expression(_PROTOCOL)).select(columns)
    return [made(row) for row in store.run(query.to_arrow()).to_pylist()]
