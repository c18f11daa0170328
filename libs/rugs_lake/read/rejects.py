"""Rejects: what could not be understood, kept with its bytes, its place and the reason.

They are rows like any other. Fed again with success, one is marked in the catalog by
the commit that stores what it now gives; the row itself stays.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from rugs_lake.errors import LakeError
from rugs_lake.read.reader import Lake
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.rows import scope_hash

PAGE: Final = 1_000
"""Rejects of a day that are looked at first; each further page is twice as large, up to `LARGEST_PAGE`."""
LARGEST_PAGE: Final = 64_000
_COLUMNS = (
    "id, strftime(ts, '%Y-%m-%dT%H:%M:%S.%fZ') AS ts, reason, origin_file AS file, origin_line AS line,"
    " origin_offset AS 'offset', origin_sha256 AS sha256, origin_tz AS tz, subject, incarnation, stream_seq,"
    " source, session_id, seq, extra"
)
_PAGE = (
    f"SELECT {_COLUMNS} FROM reject WHERE date = $date AND ($last IS NULL OR reject.ts < $last"  # noqa: S608 - our own
    " OR (reject.ts = $last AND (seq, id) > ($seq, $id))) ORDER BY reject.ts DESC, seq, id LIMIT $limit"
)
_LENGTHS = (
    "SELECT id, coalesce(octet_length(raw_bin), octet_length(encode(raw))) FROM reject"
    " WHERE date = $date AND ts BETWEEN $first AND $last AND id IN (SELECT unnest($ids))"
)
_HOLDING = (
    "SELECT path FROM rugs_scope JOIN ducklake_data_file USING (data_file_id)"
    " WHERE scope = ? AND first_pos <= ? AND last_pos >= ? AND end_snapshot IS NULL"
)
_BESIDE = (
    "SELECT asked.id, lower(hex(other.id)) FROM read_parquet($files, hive_partitioning = false, union_by_name = true)"
    " other JOIN asked USING (session_id, seq) WHERE other.source = 'import' AND other.cause IS NULL"
    " AND lower(hex(other.id)) != asked.id"
)
_BYTES = (
    "SELECT lower(hex(id)), coalesce(raw_bin, encode(raw)) FROM read_parquet($files, hive_partitioning = false,"
    " union_by_name = true) WHERE seq IN (SELECT unnest($seqs)) AND lower(hex(id)) IN (SELECT unnest($ids))"
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
    def is_done(self) -> bool:
        """Whether nothing is left to do: what it held is in the lake now."""
        return self.retried or self.completed

    @property
    def time(self) -> dt.datetime:
        """Its time, as a time."""
        return dt.datetime.fromisoformat(self.ts)

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
    return list(islice(iter_rejects(root, page=limit or PAGE, include_done=include_done), limit))


def iter_rejects(root: Path, *, page: int = PAGE, include_done: bool = False) -> Iterator[Reject]:
    """Give the rejects as `list_rejects` does, a page at a time: what comes behind the page is not read.

    Of the bytes that were kept only the length is told, and only those of the page's own files are read for it.

    Raises:
        LakeError: if there is no lake.
    """
    with Lake(root) as lake:
        for date in sorted({file.date for file in lake.files if file.doc_type == "reject"}, reverse=True):
            for found in _pages(lake, date, page):
                yield from _with_lengths(lake, date, [each for each in found if include_done or not each.is_done])


def _pages(lake: Lake, date: dt.date, page: int) -> Iterator[list[Reject]]:
    """Give the rejects of a day, newest first, without the length of their bytes."""
    after: dict[str, Any] = {"last": None, "seq": 0, "id": ""}
    while True:
        rows = lake.sql(_PAGE, {"date": date, "limit": page, **after}).fetchall()
        if rows:
            yield _marked(lake, [Reject(*(*row, 0)) for row in rows])
        if len(rows) < page:
            return
        last = Reject(*(*rows[-1], 0))
        after = {"last": last.time, "seq": last.seq, "id": last.id}
        page = min(2 * page, LARGEST_PAGE)


def _with_lengths(lake: Lake, date: dt.date, rejects: Sequence[Reject]) -> Iterator[Reject]:
    if not rejects:
        return
    times = {"first": rejects[-1].time, "last": rejects[0].time}
    asked = {"date": date, "ids": [reject.id for reject in rejects], **times}
    lengths = dict(lake.sql(_LENGTHS, asked).fetchall())
    yield from (replace(reject, bytes=lengths[reject.id] or 0) for reject in rejects)


def _marked(lake: Lake, rejects: Sequence[Reject]) -> list[Reject]:
    """Return rejects with what became of them."""
    with Catalog(LakePaths(lake.root), read_only=True) as catalog:
        retried = {each.id for each in rejects if _is_retried(catalog, each)}
        whole = _completed_among(lake, catalog, [each for each in rejects if each.source == "import"])
    return [replace(each, retried=each.id in retried, completed=each.id in whole) for each in rejects]


def _is_retried(catalog: Catalog, reject: Reject) -> bool:
    return catalog.one("SELECT 1 FROM rugs_retried WHERE reject_id = ?", bytes.fromhex(reject.id)) is not None


def _completed_among(lake: Lake, catalog: Catalog, rejects: Sequence[Reject]) -> set[str]:
    """Return those of some imported rejects that `completed` returns; only files that hold their places are read."""
    files: set[str] = set()
    for each in rejects:
        place = (scope_hash(each.source, each.session_id), each.seq, each.seq)
        files |= {str(catalog.paths.data / path) for (path,) in catalog.all(_HOLDING, *place)}
    if not files:
        return set()
    columns = {name: [getattr(each, name) for each in rejects] for name in ("id", "session_id", "seq")}
    lake.connection.register("asked", pa.table(columns))
    try:
        pairs = lake.sql(_BESIDE, {"files": sorted(files)}).fetchall()
    finally:
        lake.connection.unregister("asked")
    if not pairs:
        return set()
    seqs = {each.id: each.seq for each in rejects}
    asked = {
        "files": sorted(files),
        "seqs": sorted({seqs[cut] for cut, _ in pairs}),
        "ids": sorted({each for pair in pairs for each in pair}),
    }
    kept = {found: bytes(content or b"") for found, content in lake.sql(_BYTES, asked).fetchall()}
    return {cut for cut, longer in pairs if kept[cut] != kept[longer] and kept[longer].startswith(kept[cut])}


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
        if len(rows) != 1:
            raise LakeError(
                f"{'several rejects have' if rows else 'no reject has'} the id {reject_id}: see `rugs rejects list`"
            )
        content = bytes(rows[0][-1] or b"")
        (found,) = _marked(lake, [Reject(*(*rows[0][:-1], len(content)))])
    return found, content
