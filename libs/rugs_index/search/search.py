"""The search of an index: asks the legs that a question needs, and puts what they find in one order."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rugs_core.errors import RugsError
from rugs_core.time import now_us
from rugs_index.embedders import Embedder, EmbeddingError, MissingModelError, choose
from rugs_index.search import fusion
from rugs_index.search.answers import SearchResult, is_answerable, items_of
from rugs_index.search.filters import PUBLIC, Filters, Owners
from rugs_index.search.gathering import Gathering
from rugs_index.search.legs import text_leg, vector_leg
from rugs_index.search.remembered import Remembered
from rugs_index.search.routing import question_of
from rugs_index.table import lance
from rugs_index.table.errors import REBUILD, IndexIncompatibleError
from rugs_index.table.identity import SCHEMA_VERSION
from rugs_index.table.live import LiveIndex
from rugs_index.table.paths import IndexPaths
from rugs_index.table.row import Vector
from rugs_index.table.store import IndexStore

AUTO, VECTOR, TEXT, HYBRID = "auto", "vector", "text", "hybrid"
MODES: Final = (AUTO, VECTOR, TEXT, HYBRID)
_DEPTH: Final = 50
"""Hits of each leg that are put in one order, at least."""
_LEGS: Final = 4
"""Legs that run beside others, of all questions that are asked at once."""
_NO_MODEL: Final = "only words are searched: no model is installed; run `rugs index setup`"
_NO_VECTORS: Final = f"only words are searched: the index was built without a model; {REBUILD}"


class SearchError(RugsError, ValueError):
    """A search asks for something that there is not; the message says what there is."""


def open_search(root: Path, embedder: str = "", *, threads: int | None = None) -> IndexSearch:
    """Return the search of the index of a data root; without a model only words are searched, and results say so.

    Args:
        embedder: see `rugs_index.embedders.choose`.
        threads: that embed; None: one a core.

    Raises:
        IndexAbsentError, IndexDamagedError: if there is no index that can be used.
        EmbeddingError: if there is no such embedder, or it does not start.
    """
    with ThreadPoolExecutor(1) as beside:
        opened = beside.submit(IndexPaths(root).current)
        library = beside.submit(lance.lancedb)  # takes about as long to import as the model takes to load
        opened.result()
        try:
            chosen = choose(embedder, threads=threads)
        except MissingModelError:
            chosen = None
        library.result()
    return IndexSearch(root, chosen)


class IndexSearch:
    """The search of the index of one data root. Any thread may search.

    Args:
        root: the data root; its index is opened when it is first searched, and again when a rebuild has replaced it.
        embedder: that of the index; None: only words are searched.
        now: returns the present time, microseconds since the Unix epoch.
    """

    def __init__(self, root: Path, embedder: Embedder | None, *, now: Callable[[], int] = now_us) -> None:
        self._live = LiveIndex(root)
        self._embedder = embedder
        self._now = now
        self._remembered = Remembered()
        self._threads = ThreadPoolExecutor(_LEGS, thread_name_prefix="search")

    def close(self) -> None:
        """End its threads."""
        self._threads.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def search(
        self,
        query: str,
        k: int = 10,
        owner: str | Owners | None = None,
        *,
        filters: Filters = PUBLIC,
        mode: str = AUTO,
        explain: bool = False,
    ) -> SearchResult:
        """Return the chunks that answer a question best.

        Args:
            query: a question in words, an identifier, or both; or a call such as `search_events(query="...")`.
            k: items at the most.
            owner: whose private chunks are found beside the public ones; `EVERYONE`: all. Takes the place of
                `filters.owner`.
            filters: which chunks may be found at all.
            mode: `vector`: by meaning alone; `text`: by words alone; `hybrid`: by both, whatever the question; `auto`:
                as the question needs it, with the names, times and conditions in it.
            explain: say what each item scores for what.

        Raises:
            SearchError: if there is no such mode, or `k` is less than 1.
            IndexAbsentError, IndexDamagedError: if there is no index that can be used.
            IndexIncompatibleError: if the index was built with another model or schema.
        """
        if mode not in MODES:
            raise SearchError(f"no such mode: {mode}; there are {', '.join(MODES)}")
        if k < 1:
            raise SearchError(f"{k} items cannot be asked for: at least 1 can")
        store = self._live.store()
        where = replace(filters, owner=owner)
        vector, warnings = self._vector(store, query)
        if vector is None and mode in (VECTOR, HYBRID):
            mode = TEXT
        if mode == AUTO:
            found = self._auto(store, query, vector, where, k, explain=explain)
        else:
            found = self._plain(store, query, vector, where, k, mode, explain=explain)
        return replace(found, warnings=warnings)

    def _plain(
        self, store: IndexStore, query: str, vector: Vector | None, where: Filters, k: int, mode: str, *, explain: bool
    ) -> SearchResult:
        """Search by meaning, by words, or by both."""
        depth = max(k, _DEPTH) if mode == HYBRID else k
        legs = {}
        if mode != VECTOR:
            legs[TEXT] = self._threads.submit(text_leg, store, query, depth, where, vector=vector)
        hits = {} if vector is None or mode == TEXT else {VECTOR: vector_leg(store, vector, depth, where)}
        hits |= {name: leg.result() for name, leg in legs.items()}
        candidates = fusion.by_ranks(hits)[:k]
        return SearchResult(items_of(candidates, explain=explain), bool(candidates), mode)

    def _auto(
        self, store: IndexStore, query: str, vector: Vector | None, where: Filters, k: int, *, explain: bool
    ) -> SearchResult:
        """Search as the question needs it."""
        catalog = self._remembered.catalog(store)
        question = question_of(query, lambda: self._remembered.newest(store) or self._now(), self._now)
        if vector is not None and question.text != query and self._embedder is not None:
            vector = self._embedder.embed_query(question.text)
        gathered = Gathering(store, catalog, question, vector, where, k, self._threads).gathered()
        ranked = fusion.by_question(gathered.candidates.values(), question, gathered.known)
        answerable = is_answerable(question, ranked, gathered, catalog)
        return SearchResult(items_of(ranked[:k], explain=explain), answerable, AUTO)

    def _vector(self, store: IndexStore, query: str) -> tuple[Vector | None, tuple[str, ...]]:
        """Return the vector of a query, and why there is none."""
        identity = store.identity
        if identity.schema != SCHEMA_VERSION:
            raise IndexIncompatibleError(f"the index has schema {identity.schema}, not {SCHEMA_VERSION}; {REBUILD}")
        if self._embedder is None:
            return None, (_NO_MODEL,)
        if identity.embedder is None:
            return None, (_NO_VECTORS,)
        wanted = replace(identity, embedder=self._embedder.identity)
        if differences := identity.differences(wanted):
            raise IndexIncompatibleError(f"the index does not fit: {', '.join(differences)}; {REBUILD}")
        try:
            return self._embedder.embed_query(query), ()
        except EmbeddingError as error:
            return None, (f"only words are searched: {error}",)
