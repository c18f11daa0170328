"""What the evaluation needs of a search, and nothing more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

VECTOR, TEXT, HYBRID, AUTO = "vector", "text", "hybrid", "auto"
SINGLE_LEGS: Final = (VECTOR, TEXT)
LEGS: Final = (VECTOR, TEXT, HYBRID, AUTO)
"""Modes of a search; `auto` chooses among the others by the kind of query."""


@dataclass(frozen=True)
class Hit:
    """A chunk that was found; `metadata` as the retrieval contract has it."""

    id: str
    score: float
    metadata: Mapping[str, Any]
    text: str


@dataclass(frozen=True)
class Found:
    """What a search says: hits, best first, and whether it thinks that they answer the question."""

    hits: Sequence[Hit]
    answerable: bool = True


class Searcher(Protocol):
    """A search over an index of the corpus that may see everything, private rows as well."""

    def search(self, query: str, k: int, mode: str) -> Found:
        """Return the `k` best hits of a leg."""
        ...
