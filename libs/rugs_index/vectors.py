"""The rows of chunks: each with the vector of its text, or with the reason why it has none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rugs_index.chunk import Chunk
from rugs_index.embedders import Embedder, EmbedderIdentity
from rugs_index.embedders.cache import CachedEmbedder, cache_path
from rugs_index.table import schema
from rugs_index.table.row import Row
from rugs_index.table.store import IndexStore
from rugs_lake.store.paths import LakePaths

_CANARY: Final = "price"
"""A text that every embedder can embed that works at all."""


class Vectors:
    """Gives chunks their vectors, out of the cache where it has them.

    Args:
        embedder: None: chunks have no vectors, and are found by words alone.
        root: the data root; the cache is in its folder `state`.

    Attributes:
        embedded, cached, skipped: texts so far.

    Raises:
        EmbeddingError: if the embedder does not say what it is.
        CacheError: if the cache cannot be opened.
    """

    def __init__(self, embedder: Embedder | None, root: Path) -> None:
        self._cached: CachedEmbedder | None = None
        self.identity: EmbedderIdentity | None = None
        self.skipped = 0
        if embedder is not None:
            self._cached = CachedEmbedder(embedder, cache_path(LakePaths(root).state, embedder.identity))
            self.identity = embedder.identity

    @property
    def embedded(self) -> int:
        """Texts that were embedded."""
        return 0 if self._cached is None else self._cached.misses - self.skipped

    @property
    def cached(self) -> int:
        """Texts that the cache had."""
        return 0 if self._cached is None else self._cached.hits

    def rows(self, chunks: Sequence[Chunk]) -> list[Row]:
        """Return the rows of chunks, in their order.

        Raises:
            EmbeddingError: if the embedder does not work at all.
            CacheError: if the cache cannot be read or written.
        """
        if self._cached is None:
            return [Row(chunk) for chunk in chunks]
        found = self._cached.embed_each([chunk.text for chunk in chunks])
        if found.skipped:
            self._check_embedder()
            self.skipped += len({chunks[place].text for place in found.skipped})
        return [
            Row(chunk, None, found.skipped[place]) if place in found.skipped else Row(chunk, found.vectors[place])
            for place, chunk in enumerate(chunks)
        ]

    def holes(self, store: IndexStore) -> int:
        """Return how many rows of a table have neither a vector nor a reason why not."""
        return 0 if self._cached is None else store.count_where(schema.IS_HOLE)

    def _check_embedder(self) -> None:
        """Raise where it is not the text that is at fault.

        Raises:
            EmbeddingError: if the embedder embeds nothing.
        """
        assert self._cached is not None  # noqa: S101 - the caller has looked
        self._cached.embed_query(_CANARY)
