"""Rejects: what could not be understood, kept with its bytes, its place and the reason.

They are rows like any other. Fed again with success, one is marked in the catalog by
the commit that stores what it now gives; the row itself stays.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rugs_lake.catalog import Catalog, LakeError
from rugs_lake.paths import LakePaths
from rugs_lake.reader import Lake

_COLUMNS = (
    "id, strftime(ts, '%Y-%m-%dT%H:%M:%S.%fZ') AS ts, reason, origin_file AS file, origin_line AS line,"
    " origin_offset AS 'offset', origin_sha256 AS sha256, origin_tz AS tz, subject, incarnation, stream_seq,"
    " source, session_id, seq, extra, coalesce(octet_length(raw_bin), octet_length(encode(raw))) AS bytes"
)


@dataclass(frozen=True)
class Reject:
    """One reject. Of a file line `file`, `line` (from 1) and `offset` (bytes) are set; of a message `subject`.

    Attributes:
        bytes: length of what was kept.
        retried: whether it was fed again with success.
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

    @property
    def place(self) -> str:
        """Where it came from, for people: a file's line, or a message of the stream."""
        return f"{self.file}:{self.line}" if self.file is not None else f"message {self.stream_seq}"

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes, as `rugs rejects list --json` prints them."""
        return asdict(self)


def list_rejects(root: Path, *, limit: int | None = None, include_retried: bool = False) -> list[Reject]:
    """Return the rejects, newest first; those fed again with success only if asked for.

    Raises:
        LakeError: if there is no lake.
    """
    retried = _retried(root)
    with Lake(root) as lake:
        rows = lake.sql(f"SELECT {_COLUMNS} FROM reject ORDER BY reject.ts DESC, seq").fetchall()  # noqa: S608
    found = (replace(Reject(*row), retried=row[0] in retried) for row in rows)
    kept = [reject for reject in found if include_retried or not reject.retried]
    return kept[:limit]


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
    if len(rows) != 1:
        raise LakeError(
            f"{'several rejects have' if rows else 'no reject has'} the id {reject_id}: see `rugs rejects list`"
        )
    values, raw = rows[0][:-1], rows[0][-1]
    return replace(Reject(*values), retried=values[0] in _retried(root)), bytes(raw or b"")


def _retried(root: Path) -> set[str]:
    with Catalog(LakePaths(root), read_only=True) as catalog:
        return {digest.hex() for (digest,) in catalog.all("SELECT reject_id FROM rugs_retried")}
