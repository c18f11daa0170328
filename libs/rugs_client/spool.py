"""A bounded queue of events on disk, for when the broker is away: one SQLite file in a folder of its own.

What `append` has returned from is on disk (WAL, `synchronous=FULL`) and survives the
process and the machine. Positions grow for ever; rows leave in the order they came.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import structlog

from rugs_client.clock import Moment, boot_id, slip
from rugs_client.events import Entry, Loss, gap_entry
from rugs_client.spool_file import (
    FILE,
    INSERT,
    SELECT,
    Row,
    is_damage,
    open_file,
    readable_rows,
    row_of,
    size_of,
    values_of,
)
from rugs_core.time import now_us

_AGAIN: Final = 0.9
"""A full spool takes events again once it is down to this share, so that gaps do not come one by one."""
_SHRINK: Final = 16 * 1024 * 1024
"""An empty file larger than this gives its room back."""

_T = TypeVar("_T")

log = structlog.get_logger(__name__)


OPEN, CLOSED, MISSING = range(3)
"""How a session stands: it goes on, or ended in order, or ended and misses something since its `ts`."""


class Session(NamedTuple):
    """How far a session had come: no number from `next_seq` on was used; it lived at `ts` (µs)."""

    source: str
    session_id: str
    next_seq: int
    ts: int
    closed: int


class _Run(NamedTuple):
    """A run of refused events of a session, and the position of the row that tells of it."""

    position: int
    first_seq: int
    last_seq: int
    loss: Loss
    told: Entry | None = None
    """The row, as it is on disk."""


class Spool:
    """Events on disk in `folder`, at most about `max_bytes` of them; one process at a time.

    What does not fit is refused, newest first, and counted in `refused`; for each run of
    refused events of a session one gap event stands in their place, on disk as well. Where the
    file itself is damaged, what can be read of it goes on in a new one, and the
    damaged one is kept beside it; `damaged` counts that.

    Raises:
        sqlite3.Error: from every method, if the disk fails, or (at first) another
            process uses the file. Nothing is changed then.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.refused = 0
        self.damaged = 0
        self._runs: dict[tuple[str, str], _Run] = {}
        self._full = False
        self._read_to = 0
        self._count = self._bytes = self._end = 0
        if folder.exists():
            shutil.rmtree(self._successor, ignore_errors=True)  # a repair that was cut short
        elif self._successor.exists():
            self._successor.rename(folder)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._repair(error)

    @property
    def count(self) -> int:
        """Rows that wait."""
        return self._count

    @property
    def bytes(self) -> int:
        """Bytes that count against the bound."""
        return self._bytes

    @property
    def end(self) -> int:
        """The last position given away, 0 before the first."""
        return self._end

    def append(self, entries: Sequence[Entry], *, force: bool = False) -> int:
        """Put events at the end, in one transaction; return how many fitted, the first ones.

        The others are refused, and their gaps recorded. `force` takes all, whatever the bound.
        """
        return self._repairing(lambda: self._append(entries, force))

    def read(self, after: int, max_bytes: int) -> list[Row]:
        """Return rows beyond a position, in order: at least one if there is one, else up to `max_bytes`."""
        return self._repairing(lambda: self._read(after, max_bytes))

    def remove(self, up_to: int) -> int:
        """Delete the rows up to a position: the broker has them. Return how many they were."""
        return self._repairing(lambda: self._remove(up_to))

    def reserve(self, source: str, session_id: str, next_seq: int, *, closed: bool = False) -> None:
        """Note that a session may use the numbers below `next_seq`, and lives; or that it ended in order there."""
        values = (source, session_id, next_seq, now_us(), closed)
        self._repairing(lambda: self._write("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?)", [values]))

    def leave(self, source: str, session_id: str, next_seq: int, since: int) -> None:
        """Note that a session ended, and that what it misses since a time (µs) is still to be told of."""
        values = (source, session_id, next_seq, since, MISSING)
        self._repairing(lambda: self._write("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?)", [values]))

    def beat(self, now: Moment) -> None:
        """Note that the process lives."""
        statement = "INSERT OR REPLACE INTO sign_of_life VALUES (1, ?, ?, ?)"
        self._repairing(lambda: self._write(statement, [(*now, boot_id())]))

    def slipped(self, now: Moment) -> int:
        """Return by how many microseconds the wall clock was set since the process last lived.

        After a restart of the machine nobody knows how much time has passed, so only a clock that was set back shows.
        """
        query = "SELECT wall, boot, boot_id FROM sign_of_life"
        row = self._repairing(lambda: self._db.execute(query).fetchone())
        if row is None:
            return 0
        last = Moment(row[0], row[1])
        return slip(last, now) if row[2] == boot_id() else min(0, now.wall - last.wall)

    def shift(self, micros: int) -> None:
        """Correct the times of all sessions after the wall clock was set by so many microseconds."""
        self._repairing(lambda: self._write("UPDATE sessions SET ts = ts + ?", [(micros,)]))

    def sessions(self) -> list[Session]:
        """Return every session known, the earliest first."""
        query = "SELECT * FROM sessions ORDER BY ts, session_id, source"
        rows = self._repairing(lambda: self._db.execute(query).fetchall())
        return [Session._make(row) for row in rows]

    def next_seq(self, source: str, session_id: str) -> int:
        """Return the number that a session goes on with; 1 where it is not known."""
        query = "SELECT next_seq FROM sessions WHERE source = ? AND session_id = ?"
        row = self._repairing(lambda: self._db.execute(query, (source, session_id)).fetchone())
        return int(row[0]) if row else 1

    def forget(self, source: str, session_id: str) -> None:
        """Forget a session: its numbers will not be used again."""
        statement = "DELETE FROM sessions WHERE source = ? AND session_id = ?"
        self._repairing(lambda: self._write(statement, [(source, session_id)]))

    def close(self) -> None:
        """Close the file. What it holds stays."""
        self._db.close()

    def _open(self) -> None:
        self._db = open_file(self.folder)
        try:
            count, size = self._db.execute("SELECT count(*), coalesce(sum(size), 0) FROM events").fetchone()
            end = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        except sqlite3.Error:
            self._db.close()
            raise
        self._count, self._bytes, self._end = count, size, max(self._end, end[0] if end else 0)

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with self._db:
            self._db.executemany(statement, rows)

    def _append(self, entries: Sequence[Entry], force: bool) -> int:
        fitting = len(entries) if force else self._fitting(entries)
        accepted, refused = entries[:fitting], entries[fitting:]
        going_on = {entry.session for entry in accepted}
        # A run ends where its session goes on, and where its row has been read: that one is on its way.
        runs = {
            session: run
            for session, run in self._runs.items()
            if run.position > self._read_to and session not in going_on
        }
        end, fresh = self._end + len(accepted), 0
        for entry in refused:
            fresh += entry.session not in runs
            runs[entry.session] = _longer(runs.get(entry.session), entry, end + fresh)
        rows = [Row(position, entry) for position, entry in enumerate(accepted, self._end + 1)]
        size = sum(map(size_of, accepted))
        for session in {entry.session for entry in refused}:
            told = _gap(runs[session], session)
            size += size_of(told) - size_of(runs[session].told)
            runs[session] = runs[session]._replace(told=told)
            rows.append(Row(runs[session].position, told))
        self._write(INSERT, [values_of(row) for row in rows])
        self._runs = runs
        self._full = bool(refused)
        self.refused += sum(entry.lost for entry in refused)
        self._end = end + fresh
        self._count += len(accepted) + fresh
        self._bytes += size
        return fitting

    def _fitting(self, entries: Sequence[Entry]) -> int:
        room = self.max_bytes * (_AGAIN if self._full else 1) - self._bytes
        for place, entry in enumerate(entries):
            room -= size_of(entry)
            if room < 0:
                return place
        return len(entries)

    def _read(self, after: int, max_bytes: int) -> list[Row]:
        rows: list[Row] = []
        size = 0
        with closing(self._db.execute(f"{SELECT} WHERE position > ? ORDER BY position", (after,))) as found:
            for values in found:
                row = row_of(values)
                size += row.entry.size
                if rows and size > max_bytes:
                    break
                rows.append(row)
        self._read_to = max(self._read_to, rows[-1].position if rows else 0)
        return rows

    def _remove(self, up_to: int) -> int:
        with self._db:
            sizes = self._db.execute("SELECT size FROM events WHERE position <= ?", (up_to,)).fetchall()
            self._db.execute("DELETE FROM events WHERE position <= ?", (up_to,))
        self._count -= len(sizes)
        self._bytes -= sum(size for (size,) in sizes)
        if not self._count:
            self._shrink()
        return len(sizes)

    def _shrink(self) -> None:
        pages, page_size = (self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        if pages * page_size > _SHRINK:
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @property
    def _successor(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.new")

    def _repairing(self, work: Callable[[], _T]) -> _T:
        """Do the work; if the file is found damaged, repair it and do the work once more."""
        try:
            return work()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._repair(error)
        return work()

    def _repair(self, damage: sqlite3.DatabaseError) -> None:
        """Go on in a new file with whatever can be read of the damaged one, which is kept.

        The folders' names change only when the new file is whole: dying here costs nothing.
        """
        with suppress(AttributeError):  # it was not even opened
            self._db.close()
        shutil.rmtree(self._successor, ignore_errors=True)
        successor = Spool(self._successor, max_bytes=self.max_bytes)
        with closing(sqlite3.connect(self.folder / FILE, timeout=0)) as damaged, successor._db as db:
            db.executemany(INSERT, map(values_of, readable_rows(damaged)))
            with suppress(sqlite3.DatabaseError):
                sessions = damaged.execute("SELECT * FROM sessions").fetchall()
                db.executemany("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", sessions)
        successor.close()
        kept = self.folder.with_name(f"{self.folder.name}.damaged")
        shutil.rmtree(kept, ignore_errors=True)
        self.folder.rename(kept)
        self._successor.rename(self.folder)
        self._open()
        self._runs.clear()
        self.damaged += 1
        log.error("spool was damaged", error=str(damage), kept=kept.name, events_saved=self._count)


def _longer(run: _Run | None, entry: Entry, position: int) -> _Run:
    """Return the run with one more refused event; a gap among them stands for all that it tells of."""
    if run is None:
        loss = Loss(entry.source, entry.lost, entry.ts, entry.ts, "spool full")
        return _Run(position, entry.seq - entry.lost + 1, entry.seq, loss)
    loss = run.loss._replace(lost=run.loss.lost + entry.lost, until=max(run.loss.until, entry.ts))
    return run._replace(last_seq=entry.seq, loss=loss)


def _gap(run: _Run, session: tuple[str, str]) -> Entry:
    return gap_entry(run.loss, session[1], run.first_seq, run.last_seq)
