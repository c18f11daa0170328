"""The order of a compacted file's rows: by source, session and place in it, so that what resembles lies together."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from rugs_lake.errors import LakeError

SORT_KEYS: Final = (("source", "ascending"), ("session_id", "ascending"), ("seq", "ascending"), ("ts", "ascending"))
SHORT_RUN: Final = 64
"""Rows that stay together, on average, below which copying every row is cheaper than keeping track of slices."""


def sort_rows(table: pa.Table) -> pa.Table:
    """Return the rows of a table in order; what stays together is not copied.

    The pieces of a compaction are mostly in order, one behind or within the other: then the result is made of slices.

    Raises:
        LakeError: if sorting did not return every row once.
    """
    keys = table.select([name for name, _ in SORT_KEYS]).combine_chunks()
    order = pc.sort_indices(keys, sort_keys=SORT_KEYS)
    if not order.sort().equals(pa.array(range(table.num_rows), order.type)):
        raise LakeError("sorting did not return every row once")
    runs = _runs(order)
    if len(runs) * SHORT_RUN > table.num_rows + SHORT_RUN:
        return table.combine_chunks().take(order)  # chunks would be combined all the same, and held three times
    return pa.concat_tables([table.slice(first, count) for first, count in runs])


def _runs(order: pa.Array) -> list[tuple[int, int]]:
    """Return the first index and the length of each run of indices that follow one another."""
    if len(order) == 0:
        return [(0, 0)]
    places = order.cast(pa.int64())
    breaks = pc.indices_nonzero(pc.not_equal(pc.subtract(places[1:], places[:-1]), 1)).to_pylist()
    starts = [0, *(place + 1 for place in breaks)]
    return [(places[start].as_py(), end - start) for start, end in pairwise([*starts, len(order)])]
