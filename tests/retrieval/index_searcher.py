"""The search of the index of a data root, for the evaluation; the index is made where it is missing or stale."""

from __future__ import annotations

from pathlib import Path

from rugs_index.embedders import choose
from rugs_index.search.filters import EVERYONE
from rugs_index.search.search import IndexSearch
from rugs_index.setup import indexing_of
from rugs_index.table.errors import IndexIncompatibleError
from tests.retrieval.searcher import Found, Hit


class IndexSearcher:
    """See `tests.retrieval.searcher.Searcher`."""

    def __init__(self, search: IndexSearch) -> None:
        self._search = search

    def search(self, query: str, k: int, mode: str) -> Found:
        """Return the `k` best hits of a mode."""
        found = self._search.search(query, k, EVERYONE, mode=mode)
        return Found(
            [Hit(item.id, item.score or 0.0, item.metadata, item.text) for item in found.items], found.answerable
        )


def open_searcher(root: Path, *, rebuild: bool) -> IndexSearcher:
    """Return the search of the index of a data root.

    Args:
        rebuild: make the index anew; else it is only brought up to date.
    """
    indexing = indexing_of(root)
    try:
        _ = indexing.rebuild() if rebuild else indexing.update()
    except IndexIncompatibleError:
        indexing.rebuild()
    return IndexSearcher(IndexSearch(root, choose()))
