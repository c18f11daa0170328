"""The ways to search: by vector, by words, and by exact names. Each has its own order; the score is always cosine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from operator import and_
from typing import Any, Final

import numpy as np
import pyarrow as pa

from rugs_index.identifiers import expanded
from rugs_index.search.filters import PUBLIC, Filters, expression
from rugs_index.table import lance, schema
from rugs_index.table.row import Vector, storable
from rugs_index.table.store import IndexStore

_COLUMNS: Final = ("scope_key", "id", "owner", "text", "metadata")
_DISTANCE: Final = "_distance"
_BM25: Final = "_score"
_PROBES: Final = 10
"""Partitions of the vector index that are searched at least; all of them, if they have not enough rows."""
_REFINED: Final = 3
"""So many times as many rows as asked for are compared by their whole vectors."""
_MOST_WORDS: Final = 64
"""Words of a query that are searched for; the time of a search grows with their number."""
_LONGEST_QUERY: Final = 1 << 16
_WORD: Final = re.compile(r"[^\W_]+")
_MANY: Final = 1_000
"""With more rows asked for than these, it is worth to count first how many there are."""
_WIDER: Final = 4
"""How many times more rows are asked for when some had the same id."""


@dataclass(frozen=True)
class Hit:
    """A chunk that was found.

    Attributes:
        score: cosine similarity of its vector to that of the query, from -1 to 1; None where one of the two is missing.
        rank_score: what the leg orders by: cosine similarity, or BM25 in the leg of words; None where the order is
            that of time.
        owner: None: everyone may see it.
    """

    id: str
    text: str
    metadata: Mapping[str, Any]
    score: float | None
    rank_score: float | None
    scope_key: str
    owner: str | None


def vector_leg(store: IndexStore, vector: Vector, k: int, where: Filters = PUBLIC) -> list[Hit]:
    """Return the chunks that are most similar to a vector, the most similar first, each id once.

    Args:
        vector: of the query, as long as the table's dimension; not zero.
        k: how many at the most; all there are, if there are fewer.
        where: which chunks are considered at all.

    Raises:
        ValueError: if the vector has another length.
    """
    if store.identity.dimension is None:
        return []
    if vector.shape != (store.identity.dimension,):
        raise ValueError(f"the vector has shape {vector.shape}, those of the table ({store.identity.dimension},)")
    condition = expression(where)

    async def rows(limit: int) -> pa.Table:
        query = store.table.query().nearest_to(vector).column(schema.VECTOR).distance_type("cosine")
        query = query.maximum_nprobes(0).minimum_nprobes(_PROBES).refine_factor(_REFINED)
        return await _rows(query, condition, (*_COLUMNS, _DISTANCE), limit)

    return _hits(store, rows, k, vector)


def text_leg(
    store: IndexStore, query: str, k: int, where: Filters = PUBLIC, *, vector: Vector | None = None
) -> list[Hit]:
    """Return the chunks that have the most, and the rarest, words of a query, each id once.

    An identifier finds itself as it is written, and its words find it: `gameStateUpdate`, `game state update`.

    Args:
        query: any text; it has no syntax.
        k: how many at the most.
        where: which chunks are considered at all.
        vector: of the query, for the score; None: chunks have none.
    """
    match = lance.part("query").MatchQuery(_words(query), schema.SEARCHED)
    condition = expression(where)
    columns = (*_COLUMNS, _BM25, *_vector_column(store, vector))

    async def rows(limit: int) -> pa.Table:
        return await _rows(store.table.query().nearest_to_text(match), condition, columns, limit)

    return _hits(store, rows, k, vector)


def exact_leg(
    store: IndexStore,
    k: int,
    where: Filters,
    *,
    id: str | None = None,
    game_part: str | None = None,
    vector: Vector | None = None,
    by: str = schema.STARTS,
    descending: bool = False,
) -> list[Hit]:
    """Return the chunks that filters let through, by time, those without a time first, each id once.

    Args:
        k: how many at the most.
        where: for one field, event or game: `Filters(field_path="data.price")`.
        id: only the chunk with this id.
        game_part: only chunks of games whose id has this part, such as its end.
        vector: of the query, for the score; None: chunks have none.
        by: the column that decides the order: the time, or one of `schema.NUMBERS`.
        descending: the greatest first, and those without such a number last.
    """
    col, lit = lance.part("expr").col, lance.part("expr").lit
    conditions = [] if (condition := expression(where)) is None else [condition]
    if id is not None:
        conditions.append(col("id") == lit(storable(id)))
    if game_part is not None:
        conditions.append(col("game_id").contains(lit(storable(game_part))))
    condition = reduce(and_, conditions) if conditions else None
    columns = (*_COLUMNS, *_vector_column(store, vector))
    ordering = lance.part("query").ColumnOrdering
    order = [ordering(column_name=by, ascending=not descending, nulls_first=not descending)]
    order += [ordering(column_name=name, ascending=True, nulls_first=True) for name in ("id", "owner")]

    async def rows(limit: int) -> pa.Table:
        # Texts and vectors are read of the first rows alone, and not of all that are sorted.
        sorted_ = store.table.query().with_row_id().order_by(order)
        keys = (await _rows(sorted_, condition, (schema.KEY,), limit)).column(schema.KEY).to_pylist()
        if not keys:
            return store.columns.empty_table().select(columns)
        chosen = col(schema.KEY).isin(keys)
        still = chosen if condition is None else condition & chosen  # a row may have changed meanwhile
        found = await _rows(store.table.query(), still, (*columns, schema.KEY), len(keys))
        places = {key: place for place, key in enumerate(keys)}
        return found.take(np.argsort([places[key] for key in found.column(schema.KEY).to_pylist()])).select(columns)

    return _hits(store, rows, k, vector)


async def _rows(query: Any, condition: Any | None, columns: Sequence[str], limit: int) -> pa.Table:
    if condition is not None:
        query = query.where(condition)
    return await query.limit(limit).select(list(columns)).to_arrow()


def _hits(
    store: IndexStore, rows: Callable[[int], Coroutine[Any, Any, pa.Table]], k: int, query: Vector | None
) -> list[Hit]:
    """Ask for rows until they have k different ids, or there are no more."""
    limit = k if k <= _MANY else min(k, store.count())
    while limit > 0:
        found = store.run(rows(limit))
        hits: dict[str, Hit] = {}
        for hit in _made(found, query):
            hits.setdefault(hit.id, hit)
        if len(hits) >= k or found.num_rows < limit:
            return list(islice(hits.values(), k))
        limit *= _WIDER
    return []


def _made(found: pa.Table, query: Vector | None) -> list[Hit]:
    """Return the hits of rows, in the order of the leg."""
    columns = {name: found.column(name).to_pylist() for name in found.column_names if name != schema.VECTOR}
    if _DISTANCE in columns:
        scores: Sequence[float | None] = [_cosine(1.0 - distance) for distance in columns[_DISTANCE]]
        ranks = scores
    else:
        scores = _scores(found, query)
        ranks = columns.get(_BM25, [None] * found.num_rows)
    rows = zip(*(columns[name] for name in _COLUMNS), scores, ranks, strict=True)
    hits = [
        Hit(id_, text, json.loads(metadata), score, rank, scope_key, owner or None)
        for scope_key, id_, owner, text, metadata, score, rank in rows
    ]
    if hits and hits[0].rank_score is not None:
        hits.sort(key=lambda hit: (-(hit.rank_score or 0.0), hit.id))
    return hits


def _scores(found: pa.Table, query: Vector | None) -> list[float | None]:
    """Return the cosine similarity of each row to the query, None where one of the two has no vector."""
    if query is None or schema.VECTOR not in found.column_names:
        return [None] * found.num_rows
    vectors = found.column(schema.VECTOR).combine_chunks()
    values = np.asarray(vectors.fill_null([0.0] * len(query)).flatten()).reshape(-1, len(query))
    lengths = np.linalg.norm(values, axis=1) * np.linalg.norm(query)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines = values @ query / lengths
    return [_cosine(float(cosine)) if length > 0 else None for cosine, length in zip(cosines, lengths, strict=True)]


def _cosine(value: float) -> float:
    return max(-1.0, min(1.0, value))


def _vector_column(store: IndexStore, vector: Vector | None) -> tuple[str, ...]:
    return () if vector is None or store.identity.dimension is None else (schema.VECTOR,)


def _words(query: str) -> str:
    """Return the words of a query that are searched for, each once."""
    found = _WORD.findall(expanded(query[:_LONGEST_QUERY]))
    return " ".join(islice(dict.fromkeys(found), _MOST_WORDS))
