"""Rows as they should be, against those that are stored: the same ids, other extracts, times or doc types.

The right rows are gathered on disk; `apply` then rewrites what differs, in one change. Ids, bytes and the place in the
stream stay as they are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyarrow as pa
import pyarrow.compute as pc

from rugs_lake.errors import LakeError
from rugs_lake.maintain.change import UNCHANGED, Changed, change
from rugs_lake.store import parquet
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.change_scope import ChangeScope
from rugs_lake.store.owners import owner_column
from rugs_lake.store.rows import Row
from rugs_lake.store.schema import ARROW_SCHEMA
from rugs_lake.store.table import to_table
from rugs_proto import wire

PIECE_BYTES: Final = 16 * 1024 * 1024
"""Bytes of envelopes after which a piece is written."""
_STAYS: Final = ("id", "raw", "raw_bin", "subject", "incarnation", "stream_seq")
"""Columns that no correction changes: what the id is made of, and where the row came from."""


class Corrections:
    """Gathers rows as they should be. Of an id that comes twice the first counts. To be used in a `with` statement."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rugs-corrections-")
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._ids: list[pa.Array] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._folder.cleanup()

    def add(self, body: bytes) -> None:
        """Gather the envelopes of a message's body; rejects, and what breaks the contract, are left out."""
        self._waiting.append(body)
        self._waiting_bytes += len(body)
        if self._waiting_bytes >= PIECE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered to the disk: little stays in memory then, 16 bytes a row."""
        first_of: dict[bytes, Row] = {}
        for body in self._waiting:
            for event in wire.judge(body).events:
                if event.envelope.doc_type != "reject":  # its time is when it was refused
                    first_of.setdefault(event.digest, Row(event, 0))
        self._waiting, self._waiting_bytes = [], 0
        if not first_of:
            return
        by_partition: dict[tuple[str, int], list[Row]] = {}
        for row in first_of.values():
            by_partition.setdefault(row.partition, []).append(row)
        table = pa.concat_tables([to_table(rows, "") for rows in by_partition.values()])
        try:
            self._path(len(self._ids)).write_bytes(parquet.encode(table, 1))
        except OSError as error:
            raise LakeError(f"cannot keep corrections in {self._folder.name}: {error}") from error
        self._ids.append(table["id"].combine_chunks())

    def apply(
        self,
        catalog: Catalog,
        kind: str,
        scope: ChangeScope,
        *,
        sessions: Collection[tuple[str, str]] | None = None,
        progress: Callable[[int, int], None] = lambda done, of: None,
    ) -> Changed:
        """Rewrite the stored rows of a scope that differ from those gathered; the others stay as they are.

        With `sessions` the rows gathered are all of these: files without any of them are not looked at.

        Raises:
            LakeError: as `change` does; nothing was changed then.
        """
        self.flush()
        if not self._ids:
            return UNCHANGED
        ids = pa.concat_arrays(self._ids)
        starts = [0]
        for piece in self._ids:
            starts.append(starts[-1] + len(piece))

        def rewrite(old: pa.Table) -> pa.Table:
            places = pc.index_in(old["id"], value_set=ids).combine_chunks()
            parts = [old.filter(pc.is_null(places))]
            for number, (start, end) in enumerate(pairwise(starts)):
                is_here = pc.fill_null(pc.and_(pc.greater_equal(places, start), pc.less(places, end)), False)
                if pc.any(is_here).as_py():
                    rows = parquet.read(self._path(number)).take(pc.subtract(places.filter(is_here), start))
                    parts.append(_corrected(old.filter(is_here), rows))
            return pa.concat_tables(parts)

        return change(catalog, kind, scope, rewrite, sessions=sessions, progress=progress)

    def _path(self, number: int) -> Path:
        return Path(self._folder.name) / f"{number}.parquet"


def _corrected(old: pa.Table, new: pa.Table) -> pa.Table:
    """Return the new rows with what stays of the old ones, row by row; the owner stays where a row names nobody."""
    columns = {name: old[name] if name in _STAYS else new[name] for name in ARROW_SCHEMA.names}
    columns["owner"] = owner_column(pa.table(columns), old["owner"])
    return pa.table(columns, schema=ARROW_SCHEMA)
