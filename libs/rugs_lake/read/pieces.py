"""The rows and changes above a position, a bounded piece at a time: what a follower of the lake reads.

Each piece is read out of the newest snapshot, and nothing is held between two pieces: compaction, expiry and whatever
else happens meanwhile do not matter. A look that finds nothing new reads the catalog only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from rugs_lake.read.files import LakeFile, check_versions, explain_missing, live_files_at, pin
from rugs_lake.read.pruning import Conditions
from rugs_lake.store import parquet
from rugs_lake.store.catalog import Catalog, reading_catalog
from rugs_lake.store.changes import Change, changes_above
from rugs_lake.store.owners import OWNER_COLUMNS
from rugs_lake.store.positions import Position, incarnations, position_at
from rugs_lake.store.schema import ARROW_SCHEMA
from rugs_lake.store.table import conform
from rugs_proto.subjects import EVENTS_STREAM

MOST_CHANGES: Final = 64
"""Changes of a piece, at the most."""

_KEYS: Final = ("incarnation", "stream_seq")
_ORDER: Final = ("stream_seq", "seq", "id")
_ROUNDING: Final = 1e-9


class Wanted(NamedTuple):
    """What a follower reads, and how large its pieces are.

    Attributes:
        stream: the stream whose rows it follows; changes are those of the whole lake.
        doc_types: doc types of its rows; None: all, rejects as well.
        columns: columns of its rows, as the lake's files have them: `id` and `cause` are 16 bytes.
        rows: rows of a piece, at the most; a single message is never cut.
        bytes: bytes of a piece's rows, uncompressed, all columns; roughly.
    """

    stream: str = EVENTS_STREAM
    doc_types: Collection[str] | None = None
    columns: Sequence[str] = tuple(ARROW_SCHEMA.names)
    rows: int = 65_536
    bytes: int = 64 * 1024 * 1024


EVERYTHING: Final = Wanted()


class Piece(NamedTuple):
    """What comes next above a position.

    Attributes:
        position: the checkpoint to save once the piece is dealt with.
        rows: rows in stream order; None where there are none.
        changes: changes of rows that were perhaps read before, each with what it touched.
        starts_over: whether everything that was read before is to be forgotten: at the beginning, and after a change
            of which nobody knows what it touched.
    """

    position: Position
    rows: pa.Table | None = None
    changes: Sequence[Change] = ()
    starts_over: bool = False


class _Window(NamedTuple):
    """Stream sequences of one incarnation, both included, and the files that may hold rows of them."""

    snapshot: int
    number: int
    incarnation: str
    first: int
    last: int
    files: list[LakeFile]


def next_piece(root: Path, position: Position | None, wanted: Wanted = EVERYTHING) -> Piece | None:
    """Return what comes next above a position; None where the lake has nothing above it.

    Args:
        position: that of the last piece; None to start from nothing.

    Raises:
        LakeAbsentError: if there is no lake.
        LakeUnavailableError: if it cannot be read now.
        LakeIncompatibleError: if this program cannot read it.
        FilesGoneError: if files were deleted while they were read: ask again.
        TornFileError: if a file is damaged.
    """
    with reading_catalog(root) as catalog, catalog.reading():
        snapshot = pin(catalog, None, None)
        end = position_at(catalog, snapshot, wanted.stream)
        if position == end:
            return None
        if position is None or not position.is_within(end):  # the catalog is older: restored from a backup
            return _start(end)
        changes = changes_above(catalog, position.change) if position.change < end.change else []
        if any(change.touched is None for change in changes):
            return _start(end)
        window = _next_window(catalog, snapshot, position, end, wanted)
    if window is None:
        changes = changes[:MOST_CHANGES]
        return Piece(end._replace(change=changes[-1].number if changes else position.change), changes=changes)
    try:
        last, rows = _read(window, wanted)
    except FileNotFoundError as error:
        raise explain_missing(snapshot, window.files) or error from error
    return Piece(Position(window.number, last, position.change), rows)


def _start(end: Position) -> Piece:
    return Piece(Position(change=end.change), starts_over=True)


def _next_window(catalog: Catalog, snapshot: int, position: Position, end: Position, wanted: Wanted) -> _Window | None:
    """Return the window behind a position; None where no file has rows between it and the end."""
    for number, incarnation in incarnations(catalog.connection, wanted.stream).items():
        if position.incarnation <= number <= end.incarnation:
            after = position.seq if number == position.incarnation else 0
            asked = Conditions(wanted.doc_types, above=(incarnation, after))
            files = live_files_at(catalog, snapshot, asked)
            upto = end.seq if number == end.incarnation else max((file.last_seq for file in files), default=0)
            files = [file for file in files if file.first_seq <= upto]
            if files:
                check_versions(catalog, snapshot, files)
                last = window_end(files, after + 1, upto, wanted)
                overlapping = [file for file in files if file.first_seq <= last]
                return _Window(snapshot, number, incarnation, after + 1, last, overlapping)
    return None


def window_end(files: Sequence[LakeFile], first: int, upto: int, wanted: Wanted) -> int:
    """Return up to which sequence, from `first` on, the files may hold about one piece; `upto` at the most.

    Their rows count as evenly spread between their first and their last sequence.
    """
    slopes: defaultdict[int, float] = defaultdict(float)
    for file in files:
        slope = file.rows * _share(file, wanted) / (file.last_seq - file.first_seq + 1)
        slopes[max(first, file.first_seq)] += slope
        slopes[file.last_seq + 1] -= slope
    full = slope = 0.0
    at = first
    for seq in sorted(slopes):
        if full + slope * (seq - at) > 1:
            return min(upto, max(at, at + int((1 - full) / slope) - 1))
        full += slope * (seq - at)
        at, slope = seq, slope + slopes[seq]
    return upto


def _share(file: LakeFile, wanted: Wanted) -> float:
    """Return what share of a piece one row of a file takes, on average."""
    return max(1 / wanted.rows, file.memory / file.rows / wanted.bytes)


def _read(window: _Window, wanted: Wanted) -> tuple[int, pa.Table | None]:
    """Return the rows of as much of a window as is one piece, and up to which sequence that is.

    Raises:
        FileNotFoundError: if a file is not there any more.
        TornFileError: if a file is damaged.
    """
    last, files = window.last, window.files
    if sum(file.rows * _share(file, wanted) for file in files) > 1:
        last, files = _cut(window, wanted)
    needed = OWNER_COLUMNS if "owner" in wanted.columns else ()
    columns = [*{*wanted.columns, *_KEYS, *_ORDER, *needed}]
    tables = []
    for file in files:
        table = conform(parquet.read(Path(file), columns), columns)
        is_wanted = _within(table, window, last)
        tables.append(table if pc.all(is_wanted).as_py() else table.filter(is_wanted))
    if not any(table.num_rows for table in tables):
        return last, None
    return last, _in_order(pa.concat_tables(tables)).select(wanted.columns)


def _in_order(rows: pa.Table) -> pa.Table:
    """Return rows in stream order; they are not copied where they are in order already."""
    keys = rows.select(_ORDER).combine_chunks()
    order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in _ORDER])
    is_sorted = pc.all(pc.less(order[:-1], order[1:])).as_py()
    return rows if is_sorted else rows.combine_chunks().take(order)


def _within(table: pa.Table, window: _Window, last: int) -> pa.ChunkedArray:
    """Return for each row whether it is in a window, as far as a sequence."""
    seq = table["stream_seq"]
    is_inside = pc.and_(pc.greater_equal(seq, window.first), pc.less_equal(seq, last))
    return pc.and_(is_inside, pc.equal(table["incarnation"], window.incarnation))


def _cut(window: _Window, wanted: Wanted) -> tuple[int, list[LakeFile]]:
    """Return the last sequence with which the rows of a window are no more than a piece, and the files that hold them.

    A piece has one sequence at the least.
    """
    taken = []
    for file in window.files:
        keys = parquet.read(Path(file), list(_KEYS))
        seqs = keys.filter(_within(keys, window, window.last)).select(["stream_seq"])
        taken.append(seqs.append_column("share", pa.repeat(_share(file, wanted), seqs.num_rows)))
    by_seq = pa.concat_tables(taken).group_by("stream_seq", use_threads=False).aggregate([("share", "sum")])
    by_seq = by_seq.sort_by("stream_seq")
    fitting = pc.sum(pc.less_equal(pc.cumulative_sum(by_seq["share_sum"]), 1 + _ROUNDING)).as_py() or 0
    last = window.last if fitting == by_seq.num_rows else by_seq["stream_seq"][max(fitting, 1) - 1].as_py()
    holders = [
        file
        for file, seqs in zip(window.files, taken, strict=True)
        if seqs.num_rows and pc.min(seqs["stream_seq"]).as_py() <= last
    ]
    return last, holders
