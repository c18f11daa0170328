"""Embedding through a cache: no text is embedded twice, not even after a rebuild."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np

from rugs_core.reasons import refusal
from rugs_index.embedders.cache_store import VectorStore
from rugs_index.embedders.errors import EmbeddingError
from rugs_index.embedders.protocol import Embedder, EmbedderIdentity
from rugs_index.embedders.text import text_hash

_TEXTS_AT_ONCE: Final = 64
"""Embedded between two commits: a second of work, which a crash may cost."""
_FAILURES: Final = 3
"""After so many texts that failed one after another, the embedder itself is at fault, and is asked no more."""

Progress = Callable[[int, int], None]
"""Called with how many of the missing texts are done, and how many are missing."""


def cache_path(state: Path, identity: EmbedderIdentity) -> Path:
    """Return where the cache of an embedder lies.

    Args:
        state: the folder `state` of the data.
    """
    return state / "embeddings" / f"{identity.slug}.sqlite"


@dataclass(frozen=True)
class Embedded:
    """Texts, embedded.

    Attributes:
        vectors: float32, shape (texts, dimension), rows of length 1; NaN where a text was skipped.
        skipped: why a text has no vector, by its index.
        hits: distinct texts that the cache had.
        misses: distinct texts that it had not; those that were skipped are among them.
    """

    vectors: np.ndarray
    skipped: Mapping[int, str]
    hits: int
    misses: int


class CachedEmbedder:
    """An embedder that keeps what it embeds, and asks another one for what is missing.

    Args:
        embedder: the one that is asked.
        path: of the cache, which belongs to the embedder's identity: see `cache_path`.
        progress: called after each commit.

    Raises:
        EmbeddingError: if the embedder does not say what it is.
        CacheError: if the cache cannot be opened.
    """

    def __init__(self, embedder: Embedder, path: Path, progress: Progress | None = None) -> None:
        self._embedder = embedder
        self._progress = progress
        self._store = VectorStore(path, embedder.identity.dimension)
        self.hits = 0
        self.misses = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the cache."""
        self._store.close()

    @property
    def identity(self) -> EmbedderIdentity:
        """What decides the vectors: the embedder's own."""
        return self._embedder.identity

    def embed_each(self, texts: Sequence[str]) -> Embedded:
        """Return the vectors of texts; what cannot be embedded is skipped, and tried again the next time.

        Raises:
            CacheError: if the cache cannot be read or written.
        """
        rows: dict[bytes, list[int]] = {}
        for index, text in enumerate(texts):
            rows.setdefault(text_hash(text), []).append(index)
        hashes = list(rows)
        vectors = np.full((len(hashes), self.identity.dimension), np.nan, dtype=np.float32)
        known = self._store.load(hashes, vectors)
        missing = sorted(np.flatnonzero(~known).tolist(), key=lambda row: len(texts[rows[hashes[row]][0]]))
        reasons = self._fill(vectors, missing, hashes, [texts[each[0]] for each in rows.values()])
        hits = len(hashes) - len(missing)
        self.hits += hits
        self.misses += len(missing)
        if len(hashes) < len(texts):
            order = np.empty(len(texts), dtype=np.intp)
            for row, indices in enumerate(rows.values()):
                order[indices] = row
            vectors = vectors[order]
        skipped = {index: reason for row, reason in reasons.items() for index in rows[hashes[row]]}
        return Embedded(vectors, skipped, hits, len(missing))

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts.

        Raises:
            EmbeddingError: if one of them cannot be embedded.
            CacheError: if the cache cannot be read or written.
        """
        embedded = self.embed_each(texts)
        for index, reason in embedded.skipped.items():
            raise EmbeddingError(f"text {index + 1} of {len(texts)} cannot be embedded: {reason}")
        return embedded.vectors

    def embed_query(self, text: str) -> np.ndarray:
        """Return the vector of a question; questions are not kept."""
        return self._embedder.embed_query(text)

    def _fill(
        self, vectors: np.ndarray, missing: Sequence[int], hashes: Sequence[bytes], texts: Sequence[str]
    ) -> dict[int, str]:
        """Embed missing rows, the shortest first, and keep them; return why some have no vector."""
        attempts = _Attempts(self._embedder)
        for begin in range(0, len(missing), _TEXTS_AT_ONCE):
            some = missing[begin : begin + _TEXTS_AT_ONCE]
            for row, vector in attempts.embed(some, texts):
                vectors[row] = vector
            self._store.store({hashes[row]: vectors[row] for row in some if row not in attempts.reasons})
            if self._progress is not None:
                self._progress(begin + len(some), len(missing))
        return attempts.reasons


class _Attempts:
    """Asks an embedder for many texts at once, and for fewer where that fails, until it is known which text fails."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._failures = 0
        self._failed_last = False
        self.reasons: dict[int, str] = {}

    def embed(self, rows: Sequence[int], texts: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
        """Give the vectors of rows; say in `reasons` why some have none."""
        if self._failures >= _FAILURES:
            last = next(reversed(self.reasons.values()))
            self.reasons |= dict.fromkeys(rows, last)
            return
        try:
            vectors = self._embedder.embed([texts[row] for row in rows])
        except EmbeddingError as error:
            if len(rows) == 1:
                self._failures += 1
                self.reasons[rows[0]] = refusal(error)
                return
            # Twice in a row, the embedder may be away: asking for single texts shows that the soonest.
            cut = 1 if self._failed_last else len(rows) // 2
            self._failed_last = True
            yield from self.embed(rows[:cut], texts)
            yield from self.embed(rows[cut:], texts)
            return
        self._failures = 0
        self._failed_last = False
        yield from zip(rows, vectors, strict=True)
