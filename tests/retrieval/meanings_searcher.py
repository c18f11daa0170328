"""A small search in memory over the shipped meanings: stands for the index in tests of the evaluation.

It finds fields and events by words, and nothing else; all its legs are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rugs_discovery.notes_file import shipped_meanings
from rugs_discovery.words import question_words, scores, weighted
from tests.retrieval.searcher import Found, Hit

_LEAST_SCORE: Final = 3.0
"""Below it, nothing answers the question."""


class MeaningsSearcher:
    """See `tests.retrieval.searcher.Searcher`."""

    def __init__(self) -> None:
        self._chunks = list(_chunks())
        self._weights = [weighted([(chunk.text, 1.0)]) for chunk in self._chunks]

    def search(self, query: str, k: int, mode: str) -> Found:
        """Return the `k` best hits; every mode is the same."""
        found = scores(question_words(query), self._weights)
        ranked = sorted(zip(found, self._chunks, strict=True), key=lambda pair: (-pair[0], pair[1].id))
        best = [Hit(chunk.id, score, chunk.metadata, chunk.text) for score, chunk in ranked[:k] if score]
        return Found(best, bool(best) and best[0].score >= _LEAST_SCORE)


def open_searcher(root: Path, *, rebuild: bool) -> MeaningsSearcher:
    """Return the search; it needs no data root."""
    return MeaningsSearcher()


def _chunks() -> Iterator[Hit]:
    meanings = shipped_meanings()
    for key, meaning in meanings.events.items():
        yield Hit(f"event {key}", 0, {"kind": "event", "event_type": key}, f"{key}: {meaning.text}")
    for path, lines in meanings.fields.items():
        for each in lines:
            for event in each.events or ("gameStateUpdate",):
                metadata = {"kind": "field", "event_type": event, "field_path": path}
                yield Hit(f"field {event} {path}", 0, metadata, f"{path} in {event}: {each.text}")
