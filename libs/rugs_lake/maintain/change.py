"""Changing rows that are stored: rewriting or removing those of a scope, in one commit.

The files that hold such rows are written anew beside the old ones, each with its other rows as they were; one
transaction then puts them in place and notes the change. The writer, compactions and other changes go on meanwhile:
whatever they commit in between is looked at before this commits. A killed change leaves orphans and nothing else.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from rugs_core.time import EPOCH_DAY
from rugs_lake.errors import LakeError
from rugs_lake.maintain.compaction import LiveFile, live_files
from rugs_lake.maintain.ordering import sort_rows
from rugs_lake.maintain.takeover import take_over
from rugs_lake.read.pruning import Conditions, excluded_files
from rugs_lake.store import derived_ids, faults, held, parquet
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.change_scope import MASK_COLUMNS, NOTHING, ChangeScope, Touched, merged, touched_by
from rugs_lake.store.commit import (
    ChangeCommit,
    FileVanishedError,
    NotLiveError,
    Replacement,
    commit_change,
)
from rugs_lake.store.evolution import bring_up
from rugs_lake.store.held import game_scope, positions_of, session_scopes, with_held
from rugs_lake.store.orphans import discard
from rugs_lake.store.parquet import DataFile, Effort
from rugs_lake.store.refusals import BY_ENTRY
from rugs_lake.store.rows import scope_of
from rugs_lake.store.schema import ARROW_SCHEMA
from rugs_lake.store.table import conform
from rugs_proto.domains import KEYED

Rewrite = Callable[[pa.Table], pa.Table]
"""Takes the rows of the scope that one file holds (columns of `ARROW_SCHEMA`, ids as bytes); returns those that take
their place, in any order and with the same ids."""


class Changed(NamedTuple):
    """What a change did.

    Attributes:
        number: of the change; 0 where nothing was to be done.
        rows: how many rows were rewritten or removed.
        files: how many files were replaced.
        touched: what the rows belonged to.
        by_doc_type: how many rows of each doc type.
    """

    number: int
    snapshot: int
    rows: int
    files: int
    touched: Touched
    by_doc_type: Counter[str]


UNCHANGED: Final = Changed(0, 0, 0, 0, NOTHING, Counter())
"""Nothing was to be done."""


@dataclass
class _Looked:
    """A live file that was looked at: with rows of the scope it has a replacement."""

    doc_type: str = ""
    replacement: Replacement | None = None
    rows: int = 0
    touched: Touched = NOTHING
    tombstones: list[tuple[bytes, bytes]] = field(default_factory=list)


def change(
    catalog: Catalog,
    kind: str,
    scope: ChangeScope,
    rewrite: Rewrite,
    *,
    sessions: Collection[tuple[str, str]] | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Changed:
    """Replace the rows of a scope by what `rewrite` makes of them; rows that come out as they were stay untouched.

    With `sessions` the caller knows that `rewrite` changes no row of any other: other files need not be read.

    Raises:
        LakeError: if `rewrite` does not return the same ids, or the lake cannot be written by this program.
        TornFileError: if a file that may hold such rows is damaged. In each case nothing was changed.
    """
    return _change(catalog, kind, scope, rewrite, refuses=False, sessions=sessions, progress=progress)


def remove(
    catalog: Catalog,
    kind: str,
    scope: ChangeScope,
    *,
    refuses: bool,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Changed:
    """Remove the rows of a scope for good: none of them is stored again, whoever sends it.

    Args:
        refuses: every row of the scope is refused from now on, also one that the lake never had. Without, only the
            rows that were there stay away, each by its id.

    Raises:
        LakeError: if the lake cannot be written by this program.
        TornFileError: if a file that may hold such rows is damaged. In each case nothing was changed.
    """
    return _change(catalog, kind, scope, None, refuses=refuses, sessions=None, progress=progress)


def count_rows(catalog: Catalog, scope: ChangeScope) -> tuple[Counter[str], int]:
    """Return how many rows of each doc type a scope has, and in how many files.

    Raises:
        TornFileError: if a file that may hold such rows is damaged.
    """
    rows: Counter[str] = Counter()
    files = 0
    _, candidates = _candidates(catalog, scope)
    for candidate in candidates:
        try:
            keys = conform(parquet.read(catalog.paths.data / candidate.path, columns=list(_KEYS)))
        except FileNotFoundError:
            continue  # replaced meanwhile
        count = pc.sum(scope.mask(keys)).as_py() or 0
        rows[candidate.doc_type] += count
        files += count > 0
    return +rows, files


def _change(
    catalog: Catalog,
    kind: str,
    scope: ChangeScope,
    rewrite: Rewrite | None,
    *,
    refuses: bool,
    sessions: Collection[tuple[str, str]] | None,
    progress: Callable[[int, int], None],
) -> Changed:
    bring_up(catalog)
    take_over(catalog)
    looked: dict[int, _Looked] = {}
    try:
        while True:
            seen_snapshot, candidates = _candidates(catalog, scope, sessions)
            _forget_replaced(catalog, looked, {candidate.file_id for candidate in candidates})
            try:
                for done, candidate in enumerate(candidates):
                    progress(done, len(candidates))
                    if candidate.file_id not in looked:
                        looked[candidate.file_id] = _look(catalog, candidate, scope, rewrite, refuses=refuses)
                progress(len(candidates), len(candidates))
                parts = list(looked.values())
                return _commit(catalog, kind, scope, parts, seen_snapshot, is_removal=rewrite is None, refuses=refuses)
            except (NotLiveError, FileVanishedError):
                continue  # the writer, a compaction or another change has committed meanwhile
    except BaseException:
        _forget_replaced(catalog, looked, set())
        raise


def _commit(
    catalog: Catalog,
    kind: str,
    scope: ChangeScope,
    looked: list[_Looked],
    seen_snapshot: int,
    *,
    is_removal: bool,
    refuses: bool,
) -> Changed:
    replacements = [each.replacement for each in looked if each.replacement is not None]
    rows = sum(each.rows for each in looked)
    touched = merged([each.touched for each in looked])
    if not replacements and not refuses:
        return UNCHANGED
    committed = ChangeCommit(
        kind,
        scope,
        rows,
        touched,
        is_removal=is_removal,
        refuses=refuses,
        tombstones=[tombstone for each in looked for tombstone in each.tombstones],
    )
    parquet.make_durable(catalog.paths, [file for each in replacements for file in each.files])
    faults.reached("change_files_ready")

    def check() -> None:
        """Look, under the write lock, for files that came since."""
        if any(_may_hold(catalog, scope, file) for file in live_files(catalog, since=seen_snapshot)):
            raise NotLiveError("there are files that were not looked at")

    number, snapshot = commit_change(catalog, committed, replacements, check)
    by_doc_type: Counter[str] = Counter()
    for each in looked:
        by_doc_type[each.doc_type] += each.rows
    return Changed(number, snapshot, rows, len(replacements), touched, +by_doc_type)


def _candidates(
    catalog: Catalog, scope: ChangeScope, sessions: Collection[tuple[str, str]] | None = None
) -> tuple[int, list[LiveFile]]:
    """Return the newest snapshot and its files that may hold rows of the scope."""
    asked = Conditions(
        games=None if scope.game is None else [scope.game],
        sessions=sessions if scope.session is None else [scope.session],
    )
    with catalog.reading():
        (snapshot,) = catalog.one("SELECT max(snapshot_id) FROM ducklake_snapshot")
        excluded = excluded_files(catalog, asked)
        files = live_files(catalog)
    return snapshot, [file for file in files if file.file_id not in excluded and _is_in(file, scope)]


def _is_in(file: LiveFile, scope: ChangeScope) -> bool:
    """Return whether the partition of a file may hold rows of the scope."""
    return scope.admits(file.doc_type, dt.date.fromisoformat(file.date))


def _may_hold(catalog: Catalog, scope: ChangeScope, file: LiveFile) -> bool:
    """Return whether one file may hold rows of the scope: its partition and its entries say so."""
    if not _is_in(file, scope):
        return False
    known = {entry for (entry,) in catalog.all("SELECT scope FROM rugs_scope WHERE data_file_id = ?", file.file_id)}
    games = set() if scope.game is None else {game_scope(scope.game)}
    sessions = set() if scope.session is None else set(session_scopes(*scope.session))
    return held.ALL not in known or all(wanted & known for wanted in (games, sessions) if wanted)


def _forget_replaced(catalog: Catalog, looked: dict[int, _Looked], live: Collection[int]) -> None:
    """Forget the files that are not live any more, and delete what was to take their place."""
    for file_id in [file_id for file_id in looked if file_id not in live]:
        replacement = looked.pop(file_id).replacement
        if replacement is not None:
            discard(catalog, replacement.files)


def _look(
    catalog: Catalog, candidate: LiveFile, scope: ChangeScope, rewrite: Rewrite | None, *, refuses: bool
) -> _Looked:
    """Find the rows of the scope in a file, and write what takes the file's place if there are any.

    Raises:
        NotLiveError: if the file was replaced meanwhile.
        LakeError: if it is gone although it is live.
    """
    path = catalog.paths.data / candidate.path
    try:
        keys = conform(parquet.read(path, columns=list(_KEYS)))
        mask = scope.mask(keys)
        count = pc.sum(mask).as_py() or 0
        if count == 0:
            return _Looked()
        if rewrite is None:
            hit = keys.filter(mask)
            kept = _rows(path).filter(pc.invert(mask)) if count < keys.num_rows else None
            files = [] if kept is None else [_write(catalog, candidate, kept)]
            tombstones = [] if refuses else list(_tombstones(hit))
            replacement = Replacement(candidate.file_id, files)
            return _Looked(candidate.doc_type, replacement, count, touched_by([hit]), tombstones)
        return _rewritten(catalog, candidate, _rows(path), mask, rewrite)
    except FileNotFoundError as error:
        if candidate not in live_files(catalog):
            raise NotLiveError(f"{candidate.path} was replaced") from error
        raise LakeError(f"{path} is gone; see `rugs verify`") from error


def _rows(path: Path) -> pa.Table:
    return conform(parquet.read(path))


def _rewritten(
    catalog: Catalog, candidate: LiveFile, table: pa.Table, mask: pa.ChunkedArray, rewrite: Rewrite
) -> _Looked:
    """Write a file's rows with the rewritten ones, each in the partition that it belongs to now."""
    old = table.filter(mask)
    new = conform(rewrite(old))
    places = pc.index_in(old["id"], value_set=new["id"].combine_chunks())
    if new.num_rows != old.num_rows or places.null_count or len(pc.unique(new["id"])) != new.num_rows:
        raise LakeError("a change must return the rows that it is given, under the same ids")
    new = new.take(places)
    differs = _differing(old, new)
    count = pc.sum(differs).as_py() or 0
    if count == 0:
        return _Looked()
    old, new = old.filter(differs), new.filter(differs)
    others = table.filter(pc.invert(pc.is_in(table["id"], value_set=old["id"].combine_chunks())))
    by_partition = {(candidate.doc_type, candidate.date): [others]} if others.num_rows else {}
    for partition, rows in _by_partition(new):
        by_partition.setdefault(partition, []).append(rows)
    derived_ids.add_ahead(catalog, sorted(_entries(new)))
    files = [
        _write(catalog, candidate._replace(doc_type=doc_type, date=date), sort_rows(pa.concat_tables(parts)))
        for (doc_type, date), parts in by_partition.items()
    ]
    return _Looked(candidate.doc_type, Replacement(candidate.file_id, files), count, touched_by([old, new]))


def _differing(old: pa.Table, new: pa.Table) -> pa.Array:
    """Return for each row whether any of its values differs."""
    differs = pa.chunked_array([pa.repeat(False, old.num_rows)])
    for name in ARROW_SCHEMA.names:
        one, other = old[name], new[name]
        same = pc.if_else(pc.or_(pc.is_null(one), pc.is_null(other)), pc.and_(pc.is_null(one), pc.is_null(other)),
                          pc.fill_null(pc.equal(one, other), False))  # fmt: skip
        differs = pc.or_(differs, pc.invert(same))
    return differs


def _entries(table: pa.Table) -> Iterator[int]:
    """Give the entries of rows whose ids are made of their cause or key: they say on which day such a row is."""
    keys = ["doc_type", "source", "session_id", "game_id", "id", "date", "cause"]
    has_entry = pc.or_(
        pc.is_valid(table["cause"]), pc.is_in(table["doc_type"], value_set=pa.array(list(KEYED), pa.string()))
    )
    for row in table.select(keys).filter(has_entry).to_pylist():
        digest, date, cause = row.pop("id"), row.pop("date"), row.pop("cause")
        if scope_of(**row, is_derived=cause is not None) is None:
            yield derived_ids.entry_of(digest, (date - EPOCH_DAY).days)


def _by_partition(table: pa.Table) -> Iterator[tuple[tuple[str, str], pa.Table]]:
    keys = table.select(["doc_type", "date"]).group_by(["doc_type", "date"], use_threads=False).aggregate([])
    for key in keys.to_pylist():
        mask = pc.and_(pc.equal(table["doc_type"], key["doc_type"]), pc.equal(table["date"], key["date"]))
        yield (key["doc_type"], key["date"].isoformat()), table.filter(mask)


def _write(catalog: Catalog, candidate: LiveFile, table: pa.Table) -> DataFile:
    """Write rows as a file of the candidate's partition, and prove that it reads back."""
    day = (dt.date.fromisoformat(candidate.date) - EPOCH_DAY).days
    effort = Effort.FLUSHED if candidate.effort == Effort.FLUSHED else Effort.QUICK
    scopes = with_held(positions_of(table), table)
    new = parquet.write(catalog.paths, table, candidate.doc_type, day, scopes, effort=effort)
    faults.reached("change_written")
    if not parquet.reads_back(catalog.paths.data / new.path, table):
        raise LakeError(f"{new.path} does not read back as it was written; nothing was changed")
    return new


def _tombstones(removed: pa.Table) -> Iterator[tuple[bytes, bytes]]:
    """Give what keeps removed rows away: their ids, each with the scope that it is looked up in."""
    for row in removed.select(["id", "doc_type", "source", "session_id", "game_id", "cause"]).to_pylist():
        digest, cause = row.pop("id"), row.pop("cause")
        yield scope_of(**row, is_derived=cause is not None) or BY_ENTRY, digest


_KEYS: Final = (*MASK_COLUMNS, "cause")
"""Columns that say which rows are meant, and how; all others are read only where there are such rows."""
