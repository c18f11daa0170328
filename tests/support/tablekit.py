"""Tables of the index for tests: made-up rows and vectors, and processes that write, keep up and rebuild.

``python -m tests.support.tablekit write ROOT NAME SEED`` replaces scopes until it is killed, some of its own and some
that all writers share, and prints a line before and after each commit. ``upkeep ROOT`` keeps the indexes current
until it is killed. ``rebuild ROOT SEED`` builds a table beside the live one, and switches, again and again.

The rows of a scope say of which commit they are, and how many there are: `torn` finds scopes of two minds.
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from rugs_index.chunk import Chunk
from rugs_index.embedders import EmbedderIdentity
from rugs_index.table import indexes
from rugs_index.table.errors import IndexBusyError
from rugs_index.table.identity import IndexIdentity
from rugs_index.table.rebuild import Rebuild
from rugs_index.table.row import Row, Vector
from rugs_index.table.store import IndexStore

DIMENSION: Final = 8
SHARED_SCOPES: Final = 3
OWN_SCOPES: Final = 5
MOST_ROWS: Final = 7
REBUILT_SCOPES: Final = 40


def identity(dimension: int | None = DIMENSION, **changed: Any) -> IndexIdentity:
    """Return an identity of a table; without a dimension one without a model."""
    model = None if dimension is None else EmbedderIdentity("made-up", dimension, "none", "f32", "0" * 64)
    fields: dict[str, Any] = {"chunker": "1", "profile": "rugbus", "embedder": model}
    return IndexIdentity(**{**fields, **changed})


def vectors(count: int, dimension: int = DIMENSION, seed: int = 0) -> Vector:
    """Return made-up embeddings, one a row: unit vectors in clusters of clusters, as those of texts of a few kinds."""
    chance = np.random.default_rng(seed)
    topics = chance.standard_normal((12, dimension))
    clusters = topics[chance.integers(0, 12, 400)] + 0.8 * chance.standard_normal((400, dimension))
    weights = 1 / np.arange(1, 401) ** 0.7
    found = clusters[chance.choice(400, count, p=weights / weights.sum())]
    found = found + 0.7 * chance.standard_normal((count, dimension))
    made: Vector = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return made


def row(text: str, scope: str = "doc:a", vector: Vector | None = None, owner: str | None = None, **about: Any) -> Row:
    """Return a row of a document, unless its metadata says otherwise."""
    metadata = {"source": "a.md", "kind": "document", "doc_type": "document", **about}
    return Row(Chunk(text, metadata, scope, owner), vector)


def contents(store: IndexStore) -> dict[str, list[str]]:
    """Return the texts of all rows by scope, in order."""
    found = defaultdict(list)
    for batch in store.batches(["scope_key", "text"]):
        for scope, text in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            found[scope].append(text)
    return {scope: sorted(texts) for scope, texts in found.items()}


def generation(scope: str, number: int) -> list[Row]:
    """Return the rows of a scope of one commit."""
    count = random.Random(f"{scope} {number}").randint(0, MOST_ROWS)
    embedded = vectors(max(1, count), seed=number % 1000)
    return [
        row(f"{scope} of commit {number}, row {place} of {count}", scope, embedded[place]) for place in range(count)
    ]


def torn(found: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the scopes whose rows are not exactly those of one commit."""
    return [scope for scope, texts in found.items() if sorted(texts) != _whole(scope, texts[0])]


def _whole(scope: str, text: str) -> list[str]:
    return texts_of(generation(scope, int(text.partition(" of commit ")[2].partition(",")[0])))


def texts_of(rows: Iterable[Row]) -> list[str]:
    """Return the texts of rows, in order."""
    return sorted(each.chunk.text for each in rows)


def _write(root: Path, name: str, seed: str) -> None:
    chance = random.Random(seed)
    store = IndexStore.open(root)
    scopes = [f"{name}:{place}" for place in range(OWN_SCOPES)] + [f"shared:{place}" for place in range(SHARED_SCOPES)]
    while True:
        number = chance.getrandbits(40)
        chosen = chance.sample(scopes, chance.randint(1, 4))
        print("begin", number, *chosen, flush=True)
        store.replace_scopes({scope: generation(scope, number) for scope in chosen})
        print("end", number, *chosen, flush=True)


def _upkeep(root: Path) -> None:
    store = IndexStore.open(root)
    while True:
        try:
            indexes.keep_optimised(store, force=True)
        except IndexBusyError:
            print("busy", flush=True)
        else:
            print("kept", flush=True)


def rebuilt(seed: int) -> dict[str, list[Row]]:
    """Return the scopes of a rebuilt table."""
    return {scope: generation(scope, seed) for scope in (f"built:{place}" for place in range(REBUILT_SCOPES))}


def _rebuild(root: Path, seed: str) -> None:
    number = int(seed)
    while True:
        with Rebuild(root, identity()) as new:
            print("begin", number, flush=True)
            new.add(rebuilt(number))
            new.finish()
            print("switch", number, flush=True)
            new.switch()
        print("end", number, flush=True)
        number += 1


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", root, name, seed]:
            _write(Path(root), name, seed)
        case ["upkeep", root]:
            _upkeep(Path(root))
        case ["rebuild", root, seed]:
            _rebuild(Path(root), seed)
