"""Chunks that callers brought, beside those that are made of the lake: kept by rebuilds, until they are replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rugs_index.chunk import Chunk
from rugs_index.table.store import IndexStore

PREFIX = "brought:"
"""How the scopes of such chunks begin."""
_COLUMNS = ("scope_key", "owner", "text", "metadata")


def brought_scopes(store: IndexStore) -> Iterator[tuple[str, list[Chunk]]]:
    """Give the scopes of a table that callers brought, with their chunks."""
    found: dict[str, list[Chunk]] = {}
    for batch in store.batches(_COLUMNS):
        for key, owner, text, metadata in zip(*(batch.column(name).to_pylist() for name in _COLUMNS), strict=True):
            if key.startswith(PREFIX):
                found.setdefault(key, []).append(Chunk(text, json.loads(metadata), key, owner or None))
    yield from found.items()
