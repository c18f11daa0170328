"""The retrieval contract as functions, for tools that were written for claude-flow's own index.

The index is that of the data root in `RUGS_DATA_DIR` (else `~/rugs_data`), the embedder that of `RUGS_EMBEDDER`.
Nothing is printed: some of these tools speak JSON on standard output.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rugs_discovery.compat.chunks import EventChunk
from rugs_index import kinds
from rugs_index.brought import PREFIX
from rugs_index.chunk import Chunk
from rugs_index.chunkers.ws_event import Profile
from rugs_index.embedders import MissingModelError, choose
from rugs_index.indexing import Indexing
from rugs_index.lake import Chunking
from rugs_index.policy import parse
from rugs_index.search.answers import Item
from rugs_index.search.filters import Filters
from rugs_index.search.search import IndexSearch, SearchError, open_search
from rugs_index.setup import discovery_of
from rugs_index.table.errors import IndexAbsentError, IndexReplacedError
from rugs_index.table.identity import IndexIdentity
from rugs_index.table.paths import IndexPaths
from rugs_index.table.rebuild import Rebuild
from rugs_index.table.store import IndexStore, check_identity
from rugs_index.vectors import Vectors
from rugs_lake.store.paths import data_root

EVENTS: Final = "rugs_events"
DOCUMENTS: Final = "claude_flow_knowledge"
_COLLECTIONS: Final[dict[str | None, tuple[str, ...]]] = {
    None: (),
    DOCUMENTS: (),
    EVENTS: tuple(kind for kind in (*kinds.RECORDED, *kinds.PROTOCOL) if kind != kinds.DOCUMENT),
}
"""The kinds of chunks in each collection; none: all."""
_ATTEMPTS: Final = 3

_opened: dict[Path, IndexSearch] = {}
_opening: Final = threading.Lock()


def search(
    query_text: str, top_k: int = 5, *, backend: IndexSearch | None = None, collection: str | None = None
) -> list[dict[str, Any]]:
    """Return the public chunks that answer a question best, the best first; none where there is no index.

    Args:
        top_k: chunks at the most.
        backend: the search to use; None: that of the data root.
        collection: `rugs_events`: no documents; `claude_flow_knowledge` or None: documents, too.

    Returns:
        Each chunk as `id`, `text`, `source`, `line_start`, `line_end` (0 where there are no lines), `headers` (a list)
        and `score`: its cosine similarity to the question, 0 without a model.

    Raises:
        SearchError: if there is no such collection.
        IndexDamagedError, IndexIncompatibleError: if the index cannot be used.
    """
    if collection not in _COLLECTIONS:
        raise SearchError(f"no such collection: {collection}; there are {EVENTS} and {DOCUMENTS}")
    return _found(query_text, top_k, Filters(kinds=_COLLECTIONS[collection]), backend)


def search_with_filter(
    query_text: str, source_filter: str | None, top_k: int = 5, *, backend: IndexSearch | None = None
) -> list[dict[str, Any]]:
    """Return what `search` does, of sources whose name has a part.

    Args:
        source_filter: the part; None or empty: any source.
    """
    return _found(query_text, top_k, Filters(source=source_filter or None), backend)


def embed_chunks(chunks: Sequence[EventChunk]) -> int:
    """Put chunks into the index, and return how many; those that their documents had in it before are replaced.

    They stay when the index is rebuilt. Where there is no index, one is made that has these chunks alone; the next
    `rugs index update` adds the others.

    Raises:
        MissingModelError: if no model is installed.
        IndexDamagedError, IndexIncompatibleError: if the index cannot be used.
    """
    root = data_root()
    setting = os.environ.get("RUGS_EMBEDDER", "")
    embedder = choose(setting)
    if embedder is None:
        raise MissingModelError(f"chunks cannot be embedded: RUGS_EMBEDDER is {setting}")
    vectors = Vectors(embedder, root)
    scopes: defaultdict[str, list[Chunk]] = defaultdict(list)
    for chunk in map(_chunk, chunks):
        scopes[chunk.scope_key].append(chunk)
    rows = {key: vectors.rows(some) for key, some in scopes.items()}
    for attempt in range(_ATTEMPTS):
        try:
            with _writable(root, vectors) as store:
                store.replace_scopes(rows)
                store.make_durable()
            break
        except IndexReplacedError:  # by a rebuild, which had read the table before
            if attempt == _ATTEMPTS - 1:
                raise
    return sum(map(len, rows.values()))


def _found(query: str, top_k: int, filters: Filters, backend: IndexSearch | None) -> list[dict[str, Any]]:
    if top_k < 1:
        return []
    try:
        opened = _search_of(data_root()) if backend is None else backend
        return [_result(item) for item in opened.search(query, top_k, filters=filters).items]
    except IndexAbsentError:
        return []


def _search_of(root: Path) -> IndexSearch:
    """Return the search of a data root, opened once in a process."""
    with _opening:
        if root not in _opened:
            _opened[root] = open_search(root, os.environ.get("RUGS_EMBEDDER", ""))
        return _opened[root]


def _result(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "text": item.text,
        "source": item.metadata["source"],
        "line_start": item.metadata.get("line_start", 0),
        "line_end": item.metadata.get("line_end", 0),
        "headers": list(item.metadata.get("headers", ())),
        "score": 0.0 if item.score is None else item.score,
    }


def _chunk(told: EventChunk) -> Chunk:
    """Return a chunk of the index for one that was brought; those of a document are one scope."""
    metadata = {
        "source": told.source,
        "kind": kinds.FIELD if told.chunk_type == kinds.FIELD else kinds.EVENT,
        "doc_type": told.chunk_type,
        "event_type": told.event_type,
        **({} if told.field_path is None else {"field_path": told.field_path}),
    }
    return Chunk(told.text, metadata, f"{PREFIX}{told.source.partition('#')[0]}")


def _writable(root: Path, vectors: Vectors) -> IndexStore:
    """Return the live table, open; an empty one is made where there is none.

    Raises:
        IndexIncompatibleError: if its vectors are those of another embedder.
    """
    try:
        store = IndexStore.open(root)
    except IndexAbsentError:
        with Rebuild(root, _identity(root, vectors)) as new:
            new.finish()
            new.switch()
        store = IndexStore.open(root)
    current = IndexPaths(root).current()
    check_identity(store.paths, current, replace(current.identity, embedder=vectors.identity))
    return store


def _identity(root: Path, vectors: Vectors) -> IndexIdentity:
    """Return what `rugs index update` would build the table with."""
    policy, profile = os.environ.get("RUGS_INDEX_POLICY"), os.environ.get("RUGS_INDEX_PROFILE")
    chunking = Chunking(parse(policy), Profile(profile or Profile.RUGBUS))
    return Indexing(root, vectors, lambda: discovery_of(root, build=False), chunking=chunking).identity
