"""A chunk: one text that can be found, and what is known of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

ID_DIGITS: Final = 16


def chunk_id(source: str, text: str) -> str:
    """Return the id of a chunk, as the retrieval contract defines it.

    Args:
        source: logical, and the same on every machine: the base name of a recording, or `<doc_type>/<session_id>`.
        text: as it is embedded; nothing is stripped or normalised. Lone surrogates count as their escapes do.
    """
    return hashlib.sha256(f"{source}:{text}".encode(errors="backslashreplace")).hexdigest()[:ID_DIGITS]


@dataclass(frozen=True)
class Chunk:
    """A chunk of the index.

    Attributes:
        text: what is embedded and shown.
        metadata: a pure function of what the chunk was made from: no clock, no counter that moves with every event.
            Always has `source`, `kind` and `doc_type`; JSON values only.
        scope_key: the scope that the chunk belongs to; all chunks of a scope are replaced together.
        owner: whose it is; None: everyone may see it.
    """

    text: str
    metadata: Mapping[str, Any]
    scope_key: str = ""
    owner: str | None = None
    search_text: str = field(default="", compare=False)
    """More words to find it by, which are neither embedded nor shown."""

    @cached_property
    def id(self) -> str:
        """The id of the retrieval contract."""
        return chunk_id(self.metadata["source"], self.text)


def once_each(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Give the first chunk of each id."""
    seen = set()
    for chunk in chunks:
        if chunk.id not in seen:
            seen.add(chunk.id)
            yield chunk
