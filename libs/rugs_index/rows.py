"""A row of the lake, as chunkers read it, and the order in which they read the rows of a scope."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import repeat
from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa


class StoredRow(NamedTuple):
    """A row of the lake.

    Attributes:
        id: 32 hex digits.
        ts: microseconds since the Unix epoch, UTC.
        extra: JSON text of the fields that have no column.
        owner: whose row it is; None: everyone's.
        raw: what was received; None also where it was not read.
    """

    id: str
    ts: int
    doc_type: str
    source: str
    session_id: str
    seq: int
    direction: str
    event: str
    game_id: str | None = None
    player_id: str | None = None
    username: str | None = None
    price: float | None = None
    tick: int | None = None
    phase: str | None = None
    rugged: bool | None = None
    cooldown_timer: int | None = None
    trade_count: int | None = None
    is_filler: bool | None = None
    filled: bool | None = None
    cash: float | None = None
    position_qty: float | None = None
    amount: float | None = None
    action: str | None = None
    reason: str | None = None
    extra: str | None = None
    origin_file: str | None = None
    origin_line: int | None = None
    owner: str | None = None
    raw: str | bytes | None = None

    @property
    def order(self) -> tuple[int, str, str, int, str]:
        """The place of a row among those of its scope: by time, and never by the order of arrival."""
        return self.ts, self.source, self.session_id, self.seq, self.id

    @property
    def recording(self) -> str | None:
        """The base name of the file that the row was imported from; None if it was not imported."""
        return None if self.origin_file is None else base_name(self.origin_file)

    def chunk_source(self, doc_type: str) -> str:
        """Return the source of a chunk of a doc type that is made of this row."""
        return self.recording or f"{doc_type}/{self.session_id}"

    @property
    def extras(self) -> dict[str, Any]:
        """The fields that have no column; none where they cannot be read."""
        try:
            found = msgspec.json.decode(self.extra) if self.extra else {}
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


COLUMNS: Final = tuple(name for name in StoredRow._fields if name != "raw")
"""The columns of the lake's views that `stored_rows` needs, in this order."""
ORDER: Final = "ts, source, session_id, seq, id"
"""The order of the rows of a scope, as SQL."""


def base_name(path: str) -> str:
    """Return the last part of a path."""
    return path.rpartition("/")[2]


def stored_rows(table: pa.Table | pa.RecordBatch) -> Iterator[StoredRow]:
    """Give the rows of a table whose columns begin with `COLUMNS`, `ts` in microseconds as a whole number."""
    columns: Iterable[list[Any]] = (table.column(place).to_pylist() for place in range(len(COLUMNS)))
    return map(_MAKE, zip(*columns, repeat(None)))


_MAKE: Final = partial(tuple.__new__, StoredRow)
"""Makes a row of its values, in half the time of `StoredRow._make`."""
