"""The writer's core: messages in, commits out. It knows no broker.

`LakeWriter` gathers messages into a batch; `commit` makes its files and commits them.
The two may run side by side: a batch is detached with `take` before it is committed.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from rugs_lake.domains import PRIVATE
from rugs_lake.errors import LakeError, LakeIncompatibleError, told_apart
from rugs_lake.store import derived_ids, faults, ledger, parquet
from rugs_lake.store.catalog import Catalog, data_path, foreign_changes
from rugs_lake.store.commit import Batch, ChangedError, FileVanishedError, commit_batch
from rugs_lake.store.cursor import (
    Cursor,
    Gap,
    SupersededError,
    adopt_incarnation,
    begin_incarnation,
    body_hash,
    read_cursor,
    take_epoch,
)
from rugs_lake.store.evolution import bring_up
from rugs_lake.store.held import with_held
from rugs_lake.store.ledger import ImportHeaders, ImportProgress
from rugs_lake.store.orphans import discard, sweep
from rugs_lake.store.owners import Owners
from rugs_lake.store.parquet import DataFile
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.refusals import REFUSED, Refusals
from rugs_lake.store.rows import Row, rows_of
from rugs_lake.store.table import to_table
from rugs_lake.write import blobs, scopes
from rugs_lake.write.conflicts import Conflicts
from rugs_proto.domains import KEYED
from rugs_proto.message import Message
from rugs_proto.subjects import HEADER_RETRY

ROW_OVERHEAD: Final = 1600
"""Bytes that a waiting row takes beside what was received; a rough figure, to bound memory."""
MESSAGE_OVERHEAD: Final = 600
"""Bytes that a waiting message takes beside its rows: rough as well."""


class Taken(NamedTuple):
    """A message in a batch with its rows, its body left out; of its headers what they mean is kept.

    Attributes:
        imported: where it stands in an import run.
        retried: id of the reject that it feeds again.
    """

    message: Message
    rows: Sequence[Row]
    imported: ImportHeaders | None
    retried: bytes | None


@dataclass
class Prepared:
    """A batch made ready: a commit that failed is tried again with the same rows and the same files."""

    partitions: dict[tuple[str, int], list[Row]]
    batch: Batch
    files: dict[tuple[str, int], DataFile] = field(default_factory=dict)


@dataclass
class Pending:
    """Messages waiting for their commit: one contiguous piece of the stream."""

    start: Cursor
    last: Message | None = None
    taken: list[Taken] = field(default_factory=list)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0
    prepared: Prepared | None = None

    @property
    def end(self) -> Cursor:
        """The cursor once this is committed."""
        if self.last is None:
            return self.start
        return replace(
            self.start,
            last_seq=self.last.seq,
            last_time_us=self.last.time_us,
            last_hash=body_hash(self.last.body),
        )


class Committed(NamedTuple):
    """What a commit did.

    Attributes:
        snapshot: number of the newest snapshot.
        totals: `taken`, `stored`, `duplicates`, `rejected`, `refused_by_rule`.
        blobs: names of objects whose bytes are in the lake now.
    """

    snapshot: int
    cursor: Cursor
    totals: Counter[str]
    files: int
    blobs: set[str]


class LakeWriter:
    """The one writer of a stream: whoever opened last is it.

    Raises:
        LakeError: if the lake cannot be made, opened or written.
    """

    def __init__(self, paths: LakePaths, stream: str) -> None:
        self.paths = paths
        self.catalog = Catalog(paths, create=True)
        try:
            with told_apart(f"cannot write the lake {paths.root}"):
                if found := foreign_changes(self.catalog):
                    raise LakeIncompatibleError(f"not writing to {paths.catalog}: {found[0]}; see `rugs verify`")
                bring_up(self.catalog)
                self.cursor = take_epoch(self.catalog, stream)
                _correct_data_path(self.catalog)
                sweep(self.catalog, self.cursor)
        except LakeError:
            self.catalog.close()
            raise
        self._pending = Pending(self.cursor)
        self._refusals = Refusals()

    def close(self) -> None:
        """Close the catalog; what is pending is not committed, the stream still has it."""
        self.catalog.close()

    def meet(self, incarnation: str | None, at_cursor: Message | None) -> Cursor:
        """Meet the stream, at start and after every reconnect; return where to go on.

        Pending messages are dropped: the stream has them. `incarnation` is what the
        stream's metadata says, `at_cursor` the message it has at the cursor's sequence.
        The caller writes the cursor's incarnation back where the stream's differs.
        """
        if self.cursor.last_seq == 0:
            if incarnation not in (None, self.cursor.incarnation):
                self.cursor = adopt_incarnation(self.catalog, self.cursor, str(incarnation))
        elif not self.cursor.is_at(at_cursor):
            found = "has another message" if at_cursor is not None else "has no message"
            reason = f"the stream {found} at sequence {self.cursor.last_seq}: restored, purged or made anew"
            self.cursor = begin_incarnation(self.catalog, self.cursor, new_incarnation(), reason)
        self._pending = Pending(self.cursor)
        return self.cursor

    @property
    def next_seq(self) -> int:
        """The sequence that must come next."""
        pending = self._pending
        return (pending.start.last_seq if pending.last is None else pending.last.seq) + 1

    @property
    def pending(self) -> Pending:
        """What waits to be taken."""
        return self._pending

    def judge(self, message: Message) -> list[Row]:
        """Return the rows that a message stands for; ask `blobs.wanted` before `add`."""
        return rows_of(message, self.cursor.stream)

    def add(self, message: Message, rows: Sequence[Row], found: Mapping[str, bytes | None] | None = None) -> None:
        """Add a message to the batch. One that was taken before is dropped.

        A jump over sequences that the stream does not have any more becomes a gap: the
        caller has made sure that they are really gone.
        """
        expected = self.next_seq
        if message.seq < expected:
            return
        pending = self._pending
        if message.seq > expected:
            pending.gaps.append(Gap(expected, message.seq - 1, "deleted from the stream before it was read"))
        if pending.ranges and message.seq == expected:
            pending.ranges[-1] = (pending.ranges[-1][0], message.seq)
        else:
            pending.ranges.append((message.seq, message.seq))
        if found:
            rows = blobs.resolve(rows, found, message, self.cursor.stream)
            pending.bytes += sum(len(data) for data in found.values() if data is not None)
        headers = message.headers
        bare = message._replace(body=b"", headers={})
        pending.taken.append(Taken(bare, rows, ledger.read_headers(headers) if headers else None, _retried(headers)))
        pending.last = message
        pending.rows += len(rows)
        pending.bytes += len(message.body) + ROW_OVERHEAD * len(rows)
        pending.bytes += MESSAGE_OVERHEAD + sum(len(name) + len(value) for name, value in headers.items())

    def take(self) -> Pending | None:
        """Detach what is pending, for `commit`; None if nothing is."""
        if not self._pending.taken:
            return None
        taken, self._pending = self._pending, Pending(self._pending.end)
        return taken

    def commit(self, pending: Pending) -> Committed:
        """Write the files of a batch and commit it. Safe to call again after an error.

        Raises:
            SupersededError: another writer has taken over.
            OSError, sqlite3.Error: the disk is full or does not answer; nothing is lost.
        """
        while True:
            if pending.prepared is None:
                pending.prepared = self._prepare(pending)
            try:
                return self._commit(pending, pending.prepared)
            except ChangedError:  # the batch may hold what is refused now
                discard(self.catalog, pending.prepared.files.values())
                pending.prepared = None

    def _commit(self, pending: Pending, prepared: Prepared) -> Committed:
        for partition, rows in prepared.partitions.items():
            if partition not in prepared.files:
                prepared.files[partition] = self._write(partition, rows, pending.start)
        files = list(prepared.files.values())
        parquet.make_durable(self.paths, files)
        faults.reached("files_ready")
        entries = prepared.batch.entries
        derived_ids.add_ahead(self.catalog, entries[derived_ids.SLICE :])
        batch = replace(prepared.batch, files=files, entries=entries[: derived_ids.SLICE])
        try:
            snapshot = commit_batch(self.catalog, pending.start, batch)
        except (SupersededError, FileVanishedError):
            # A commit whose answer got lost in an error is one all the same.
            if read_cursor(self.catalog.connection, pending.start.stream) != pending.end:
                prepared.files.clear()
                discard(self.catalog, files)
                raise
            snapshot = self.catalog.one("SELECT max(snapshot_id) FROM ducklake_snapshot")[0]
        self.cursor = pending.end
        blob_names = {name for taken in pending.taken for name in blobs.wanted(taken.rows)}
        return Committed(snapshot, self.cursor, prepared.batch.totals, len(files), blob_names)

    def _write(self, partition: tuple[str, int], rows: list[Row], cursor: Cursor) -> DataFile:
        doc_type, day = partition
        table = to_table(rows, cursor.incarnation)
        return parquet.write(self.paths, table, doc_type, day, with_held(scopes.spans(rows), table))

    def _prepare(self, pending: Pending) -> Prepared:
        """Tell new rows from known and from refused ones, count each, and sort the new ones into partitions."""
        candidates = [row for taken in pending.taken for row in taken.rows]
        self._refusals.refresh(self.catalog.connection)
        refused = self._refusals.refused(self.catalog.connection, candidates)
        seen = scopes.known_ids(self.catalog, candidates)
        owners = Owners(self.catalog.connection)
        conflicts = Conflicts(self.catalog, candidates, self.cursor.stream)
        runs = _Runs(self.catalog, pending)
        totals: Counter[str] = Counter(taken=len(candidates))
        partitions: dict[tuple[str, int], list[Row]] = {}
        retried = []
        for message, rows, imported, reject_id in pending.taken:
            run = runs.of(imported)
            understood = bool(rows)
            for row in rows:
                kept, conflict = row, None
                if row.event.digest in refused:
                    outcome = REFUSED
                elif row.event.digest in seen and (conflict := conflicts.reject_of(row, rows, message)) is None:
                    outcome = "duplicates"
                else:
                    kept = conflict or self._complete(row, message)
                    doc_type = kept.event.envelope.doc_type
                    outcome = "rejected" if doc_type == "reject" else "stored"
                    if doc_type in PRIVATE:
                        kept = owners.owned(kept)
                    if kept is not row and self._is_refused_now(kept, row):
                        outcome = REFUSED
                    else:
                        seen.add(row.event.digest)
                        partitions.setdefault(kept.partition, []).append(kept)
                        if doc_type in KEYED:
                            conflicts.add(kept)
                understood = understood and kept.event.envelope.doc_type != "reject"
                totals[outcome] += 1
                if run is not None and imported is not None:
                    _count(run, kept, outcome, counts_derived=imported.counts_derived)
            if understood and reject_id is not None:
                retried.append(reject_id)
        entries = sorted(
            derived_ids.entry_of(row.event.digest, day)
            for (_, day), rows in partitions.items()
            for row in rows
            if row.is_known_by_entry
        )
        batch = Batch(
            pending.end,
            pending.ranges,
            gaps=pending.gaps,
            totals=totals,
            imports=runs.all,
            retried=retried,
            entries=entries,
            change=self._refusals.seen,
            owners=owners.named,
        )
        return Prepared(partitions, batch)

    def _is_refused_now(self, kept: Row, row: Row) -> bool:
        """Whether a new row is refused for what was not known of it before: its owner, or that it is a reject."""
        if kept.event is not row.event:
            return bool(self._refusals.refused(self.catalog.connection, [kept]))
        return kept.owner is not None and self._refusals.refuses(kept)

    def _complete(self, row: Row, message: Message) -> Row:
        """Return a new row as it is to be stored: a reject, where its bytes never came."""
        if blobs.is_unresolved(row):
            return blobs.missing(row, message, self.cursor.stream, "its bytes are not in the object store")
        return row


def new_incarnation() -> str:
    """Return the id of one more life of a stream: 32 hex digits."""
    return uuid.uuid4().hex


def _count(progress: ImportProgress, row: Row, outcome: str, *, counts_derived: bool) -> None:
    if row.event.envelope.cause is not None and not counts_derived:
        return  # read out of a record that counts itself
    if row.event.envelope.doc_type != "reject":
        if outcome == "stored":
            progress.stored += 1
        elif outcome == REFUSED:
            progress.refused += 1
        else:
            progress.duplicates += 1
    elif outcome == "rejected":
        progress.rejected += 1
    else:
        progress.rejected_before += 1


class _Runs:
    """The import runs that a batch has messages of."""

    def __init__(self, catalog: Catalog, pending: Pending) -> None:
        ids = {taken.imported.run_id for taken in pending.taken if taken.imported is not None}
        self._last = ledger.last_messages(catalog, sorted(ids))
        self._runs: dict[str, ImportProgress] = {}

    @property
    def all(self) -> list[ImportProgress]:
        return list(self._runs.values())

    def of(self, headers: ImportHeaders | None) -> ImportProgress | None:
        """Return the run to count a message in: none if it belongs to none, was counted before, or the run is closed.

        That is for counting only: whether its events are stored, their ids say.
        """
        if headers is None or headers.place <= self._last.get(headers.run_id, 0):
            return None
        self._last[headers.run_id] = ledger.CLOSED if headers.report is not None else headers.place
        run = self._runs.setdefault(headers.run_id, ImportProgress(headers.run_id, headers.place))
        run.last_message = headers.place
        run.messages += 1
        run.report = headers.report
        return run


_HEX_ID: Final = re.compile("[0-9a-f]{32}")


def _retried(headers: Mapping[str, str]) -> bytes | None:
    told = headers.get(HEADER_RETRY, "")
    return bytes.fromhex(told) if _HEX_ID.fullmatch(told) else None


def _correct_data_path(catalog: Catalog) -> None:
    """A copied lake would have DuckLake read the original's files: say where these are."""
    here = data_path(catalog.paths)
    if catalog.one("SELECT value FROM ducklake_metadata WHERE key = 'data_path'") != (here,):
        with catalog.transaction() as connection:
            connection.execute("UPDATE ducklake_metadata SET value = ? WHERE key = 'data_path'", (here,))
