"""Rejects: what could not be understood, kept with its bytes, its place and the reason.

They are rows like any other. Fed again with success, one is marked in the catalog by
the commit that stores what it now gives; the row itself stays.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from rugs_lake.catalog import Catalog
from rugs_lake.errors import LakeError
from rugs_lake.paths import LakePaths
from rugs_lake.reader import Lake

_COLUMNS = (
    "id, strftime(ts, '%Y-%m-%dT%H:%M:%S.%fZ') AS ts, reason, origin_file AS file, origin_line AS line,"
    " origin_offset AS 'offset', origin_sha256 AS sha256, origin_tz AS tz, subject, incarnation, stream_seq,"
    " source, session_id, seq, extra, coalesce(octet_length(raw_bin), octet_length(encode(raw))) AS bytes"
)
_STOOD = (
    "SELECT id, source, session_id, seq, ts, date, coalesce(raw_bin, encode(raw)) AS bytes FROM {view}"
    " WHERE source = 'import' AND cause IS NULL"
)
_LONGER = f"({_STOOD.format(view='events')} UNION ALL {_STOOD.format(view='reject')})"
_AT_ONE_PLACE = (
    f"SELECT cut.id, longer.id, longer.ts, longer.date FROM ({_STOOD.format(view='reject')}) cut"  # noqa: S608 - our own
    f" JOIN {_LONGER} longer USING (source, session_id, seq) WHERE cut.id != longer.id"
)
_BEGINNINGS = (
    f"SELECT DISTINCT cut FROM pairs JOIN ({_STOOD.format(view='reject')}) cut ON cut.id = pairs.cut"  # noqa: S608 - our own
    f" JOIN {_LONGER} longer ON longer.id = pairs.longer"
    " WHERE longer.ts BETWEEN ? AND ? AND longer.date BETWEEN ? AND ?"
    " AND octet_length(longer.bytes) > octet_length(cut.bytes) AND starts_with(hex(longer.bytes), hex(cut.bytes))"
)


@dataclass(frozen=True)
class Reject:
    """One reject. Of a file line `file`, `line` (from 1) and `offset` (bytes) are set; of a message `subject`.

    Attributes:
        bytes: length of what was kept.
        retried: whether it was fed again with success.
        completed: whether it was cut off, and the whole line was imported later.
    """

    id: str
    ts: str
    reason: str
    file: str | None
    line: int | None
    offset: int | None
    sha256: str | None
    tz: str | None
    subject: str | None
    incarnation: str
    stream_seq: int
    source: str
    session_id: str
    seq: int
    extra: str | None
    bytes: int
    retried: bool = False
    completed: bool = False

    @property
    def place(self) -> str:
        """Where it came from, for people: a file's line, or a message of the stream."""
        return f"{self.file}:{self.line}" if self.file is not None else f"message {self.stream_seq}"

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes, as `rugs rejects list --json` prints them."""
        return asdict(self)


def list_rejects(root: Path, *, limit: int | None = None, include_done: bool = False) -> list[Reject]:
    """Return the rejects, newest first; those fed again with success, or completed, only if asked for.

    Raises:
        LakeError: if there is no lake.
    """
    retried = _retried(root)
    with Lake(root) as lake:
        rows = lake.sql(f"SELECT {_COLUMNS} FROM reject ORDER BY reject.ts DESC, seq").fetchall()  # noqa: S608
        done = completed(lake)
    found = (replace(Reject(*row), retried=row[0] in retried, completed=row[0] in done) for row in rows)
    kept = [reject for reject in found if include_done or not (reject.retried or reject.completed)]
    return kept[:limit]


def completed(lake: Lake) -> set[str]:
    """Return the ids of imported rejects that are nothing but the beginning of what stands at their place now.

    A file that is imported while it is being written may end in half a line, which is rejected. Imported again it
    has the whole line there: that holds all bytes of the half one.
    """
    pairs = lake.arrow(_AT_ONE_PLACE).rename_columns(["cut", "longer", "ts", "date"])
    if not pairs.num_rows:
        return set()
    times, days = pc.min_max(pairs["ts"]).as_py(), pc.min_max(pairs["date"]).as_py()
    lake.connection.register("pairs", pairs.select(["cut", "longer"]))
    try:
        rows = lake.sql(_BEGINNINGS, [times["min"], times["max"], days["min"], days["max"]]).fetchall()
    finally:
        lake.connection.unregister("pairs")
    return {cut for (cut,) in rows}


def show(root: Path, reject_id: str) -> tuple[Reject, bytes]:
    """Return a reject by its id, or by the first digits of it, with its bytes.

    Raises:
        LakeError: if none or several have it.
    """
    with Lake(root) as lake:
        rows = lake.sql(
            f"SELECT {_COLUMNS}, coalesce(raw_bin, encode(raw)) FROM reject WHERE starts_with(id, ?)",  # noqa: S608
            [reject_id.lower()],
        ).fetchmany(2)
        done = completed(lake) if len(rows) == 1 else set()
    if len(rows) != 1:
        raise LakeError(
            f"{'several rejects have' if rows else 'no reject has'} the id {reject_id}: see `rugs rejects list`"
        )
    values, raw = rows[0][:-1], rows[0][-1]
    found = replace(Reject(*values), retried=values[0] in _retried(root), completed=values[0] in done)
    return found, bytes(raw or b"")


def _retried(root: Path) -> set[str]:
    with Catalog(LakePaths(root), read_only=True) as catalog:
        return {digest.hex() for (digest,) in catalog.all("SELECT reject_id FROM rugs_retried")}
