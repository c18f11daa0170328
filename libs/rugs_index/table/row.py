"""Rows of the table: a chunk, its vector, and what can be filtered by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isfinite
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rugs_index.chunk import Chunk
from rugs_index.identifiers import forms
from rugs_index.table import schema

Vector = npt.NDArray[np.float32]

_DIGEST_BYTES: Final = 16
_LONG_WORD: Final = 80
"""Characters above which a word is unlikely to occur again."""
_LEAST_US: Final = -62_135_596_800_000_000
_MOST_US: Final = 253_402_300_799_999_999
"""The years 1 to 9999, in microseconds since the Unix epoch: what a `datetime` can say, and so a filter."""


@dataclass(frozen=True, eq=False)
class Row:
    """A chunk and its vector.

    Attributes:
        vector: float32, as long as the table's dimension; None where there is no model, or the text was not embedded.
        skipped: why it was not.
    """

    chunk: Chunk
    vector: Vector | None = None
    skipped: str | None = None

    @property
    def scope_key(self) -> str:
        """The scope of the chunk."""
        return storable(self.chunk.scope_key)

    @property
    def owner(self) -> str:
        """The owner as the table has it."""
        return schema.PUBLIC if self.chunk.owner is None else storable(self.chunk.owner)

    @property
    def id(self) -> str:
        """The id of the chunk."""
        return self.chunk.id

    @cached_property
    def text(self) -> str:
        """The text as the table has it."""
        return storable(self.chunk.text)

    @cached_property
    def searched(self) -> str:
        """What full-text search finds the row by."""
        told = "\n".join(filter(None, (self.text, storable(self.chunk.search_text))))
        return "\n".join(filter(None, (told, _forms(told))))

    @cached_property
    def metadata(self) -> str:
        """The metadata as JSON text, the same for equal metadata."""
        return json.dumps(self.chunk.metadata, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @cached_property
    def content(self) -> bytes:
        """Digest of everything that the row holds; of the vector, whether there is one."""
        parts = (self.text, self.searched, self.metadata, "" if self.vector is None else "vector")
        return digest_of(parts)


def digest_of(parts: Iterable[str]) -> bytes:
    """Return a digest of texts, in which no two lists of texts are the same."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        told = part.encode()
        digest.update(len(told).to_bytes(8, "big"))
        digest.update(told)
    return digest.digest()


def storable(text: str) -> str:
    """Return a text as UTF-8 can have it: lone surrogates as their escapes, as ids count them."""
    return text.encode(errors="backslashreplace").decode() if not text.isascii() else text


def _forms(text: str) -> str:
    """Return the words inside the identifiers of a text, each once: `forms`, which looks at each word again."""
    found = dict.fromkeys(text.split())
    told = (forms(word) if len(word) > _LONG_WORD else _forms_of(word) for word in found)
    return " ".join(dict.fromkeys(form for each in told if each for form in each.split(" ")))


_forms_of = lru_cache(maxsize=1 << 15)(forms)


def once_each(rows: Iterable[Row]) -> Iterator[Row]:
    """Give the first row of each id, for each owner."""
    seen = set()
    for row in rows:
        if (key := (row.owner, row.id)) not in seen:
            seen.add(key)
            yield row


def of_scopes(scopes: Mapping[str, Iterable[Row]]) -> Iterator[Row]:
    """Give the rows of scopes, in each scope the first row of each id and owner.

    Raises:
        ValueError: if a row belongs to another scope.
    """
    for key, rows in scopes.items():
        for row in once_each(rows):
            if row.chunk.scope_key != key:
                raise ValueError(f"a chunk of scope {row.chunk.scope_key!r} cannot be in scope {key!r}")
            yield row


def arrow_table(rows: Sequence[Row], keys: Sequence[str], columns: pa.Schema) -> pa.Table:
    """Return rows as the table takes them.

    Args:
        keys: of the rows, in the same order.
        columns: of the table.

    Raises:
        ValueError: if a vector is not finite, or has another length than the table's.
    """
    metadata = [row.chunk.metadata for row in rows]
    starts = [_moment(each.get("ts")) for each in metadata]
    ends = [_end(start, _moment(each.get("until"))) for start, each in zip(starts, metadata, strict=True)]
    arrays: dict[str, Any] = {
        schema.KEY: list(keys),
        "id": [row.id for row in rows],
        "scope_key": [row.scope_key for row in rows],
        "owner": [row.owner for row in rows],
        schema.CONTENT: [row.content for row in rows],
        "text": [row.text for row in rows],
        schema.SEARCHED: [row.searched for row in rows],
        "metadata": [row.metadata for row in rows],
        **{name: [_text(each, name) for each in metadata] for name in schema.TEXTS},
        schema.SKIPPED: [None if row.skipped is None else storable(row.skipped) for row in rows],
        schema.STARTS: pa.array(starts, pa.int64()),
        schema.ENDS: pa.array(ends, pa.int64()),
        **{name: [_number(each, name) for each in metadata] for name in schema.NUMBERS},
    }
    if schema.VECTOR in columns.names:
        arrays[schema.VECTOR] = _vectors(rows, columns.field(schema.VECTOR).type)
    made = {name: pa.array(value, columns.field(name).type) if isinstance(value, list) else value
            for name, value in arrays.items()}  # fmt: skip
    return pa.table([made[field.name].cast(field.type) for field in columns], schema=columns)


def _vectors(rows: Sequence[Row], type_: pa.FixedSizeListType) -> pa.Array:
    size = type_.list_size
    values = np.zeros((len(rows), size), np.float32)
    is_missing = np.ones(len(rows), bool)
    for place, row in enumerate(rows):
        if row.vector is None:
            continue
        if row.vector.shape != (size,):
            raise ValueError(f"the vector of chunk {row.id} has shape {row.vector.shape}, the table's have ({size},)")
        values[place] = row.vector
        is_missing[place] = False
    if not np.isfinite(values).all():
        raise ValueError("a vector is not finite")
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), type=type_, mask=pa.array(is_missing))


def _text(metadata: Mapping[str, Any], name: str) -> str | None:
    value = metadata.get(name)
    return storable(value) if isinstance(value, str) and value else None


def _number(metadata: Mapping[str, Any], name: str) -> float | None:
    value = metadata.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:
        return None


def _moment(value: Any) -> int | None:
    is_one = isinstance(value, int) and not isinstance(value, bool) and _LEAST_US <= value <= _MOST_US
    return value if is_one else None


def _end(start: int | None, end: int | None) -> int | None:
    return start if start is None or end is None else max(start, end)
