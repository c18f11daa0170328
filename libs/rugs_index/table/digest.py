"""A digest over what a table holds, whatever the order of its rows, and the first differences of two tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from rugs_index.table.row import digest_of
from rugs_index.table.store import IndexStore

FIRST: Final = 5
"""Differences of each kind that are named."""

_BITS: Final = 128
_COLUMNS: Final = ("scope_key", "owner", "id", "text", "search_text", "metadata")
_KEYS: Final = 3
"""So many of the columns say which row it is."""
_Hashes = npt.NDArray[np.uint64]


class Digest(NamedTuple):
    """What a table holds: the number of its rows, and a digest over scope, owner, id, texts and metadata of each."""

    rows: int
    value: str


@dataclass(frozen=True)
class Difference:
    """In what a table differs from what it should be: each row as `scope id`, the first few of them.

    Attributes:
        missing, extra, changed: how many rows.
        first_missing, first_extra, first_changed: some of them.
    """

    missing: int
    extra: int
    changed: int
    first_missing: Sequence[str]
    first_extra: Sequence[str]
    first_changed: Sequence[str]


def digest(store: IndexStore) -> Digest:
    """Return the digest of a table; it reads all rows, a few thousand at a time."""
    rows = total = 0
    for values in _rows(store):
        rows += 1
        total += int.from_bytes(digest_of(values), "big")  # a sum: whatever the order, and two equal rows are not none
    return Digest(rows, f"{total % (1 << _BITS):0{_BITS // 4}x}")


def difference(store: IndexStore, expected: IndexStore) -> Difference:
    """Return in what a table differs from the expected one. It takes 16 bytes of memory for each row of both."""
    keys, contents = _hashes(store)
    expected_keys, expected_contents = _hashes(expected)
    sign = np.repeat([1, -1], [len(keys), len(expected_keys)])
    _, places, which = np.unique(np.concatenate([contents, expected_contents]), return_index=True, return_inverse=True)
    balance = np.bincount(which, sign, len(places)).astype(int)
    of_both = np.concatenate([keys, expected_keys])[places]
    surplus, lacking = of_both[balance > 0], of_both[balance < 0]
    changed = np.intersect1d(surplus, lacking)
    return Difference(
        missing=-int(balance[balance < 0].sum()) - len(changed),
        extra=int(balance[balance > 0].sum()) - len(changed),
        changed=len(changed),
        first_missing=_named(expected, np.setdiff1d(lacking, changed)),
        first_extra=_named(store, np.setdiff1d(surplus, changed)),
        first_changed=_named(store, changed),
    )


def _rows(store: IndexStore) -> Iterator[tuple[str, ...]]:
    for batch in store.batches(_COLUMNS):
        yield from zip(*(batch.column(name).to_pylist() for name in _COLUMNS), strict=True)


def _hashes(store: IndexStore) -> tuple[_Hashes, _Hashes]:
    """Return 64 bits of digest of each row's key, and of the whole row."""
    pairs = [(_hash(values[:_KEYS]), _hash(values)) for values in _rows(store)]
    both: Any = np.array(pairs, np.uint64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _hash(values: Sequence[str]) -> int:
    return int.from_bytes(digest_of(values)[:8], "big")


def _named(store: IndexStore, keys: _Hashes) -> list[str]:
    """Return the first rows with these keys, as `scope id`."""
    wanted = set(keys.tolist())
    found: list[str] = []
    if wanted:
        for scope_key, owner, id_, *_ in _rows(store):
            if _hash((scope_key, owner, id_)) in wanted:
                found.append(f"{scope_key} {id_}")
                if len(found) == FIRST:
                    break
    return found
