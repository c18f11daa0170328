"""The store of discovery's state over the lake: `discovery/state.sqlite`. Delete it at any time: it is built again.

A part of the state is that of one doc type and day. Parts and the position in the lake up to which they count are
committed together, so no row counts twice, whatever is killed when.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from rugs_core.errors import RugsError
from rugs_discovery.drift import Drift
from rugs_discovery.nodes import Place
from rugs_discovery.state import VERSION, State
from rugs_lake.store.positions import Position

FOLDER: Final = "discovery"
_FILE: Final = "state.sqlite"
_BUSY_SECONDS: Final = 30.0

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS about (id TEXT NOT NULL, version INTEGER NOT NULL, incarnation INTEGER, seq INTEGER,
    change INTEGER, baseline INTEGER);
CREATE TABLE IF NOT EXISTS part (doc_type TEXT, date TEXT, state BLOB NOT NULL, PRIMARY KEY (doc_type, date));
CREATE TABLE IF NOT EXISTS drift (kind TEXT, event TEXT, path TEXT, detail TEXT, verdict TEXT NOT NULL, ts INTEGER,
    example TEXT, noticed INTEGER NOT NULL, is_baseline INTEGER NOT NULL, PRIMARY KEY (kind, event, path, detail));
"""


class DiscoveryError(RugsError):
    """Discovery cannot do what it was asked."""


class Part(NamedTuple):
    """What one part of the state is of: a doc type and a day (UTC, ISO 8601)."""

    doc_type: str
    date: str


class Store:
    """The state of discovery, open.

    Attributes:
        id: of this store; one that is made anew has another.

    Raises:
        DiscoveryError: if there is none, and `create` is false; or if it cannot be opened.
    """

    def __init__(self, root: Path, *, create: bool = True) -> None:
        folder = root / FOLDER
        path = folder / _FILE
        if not create and not path.exists():
            raise DiscoveryError(f"nothing is discovered in {root} yet: run `rugs discovery build`")
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = self._open(path)
        except sqlite3.Error as error:
            raise DiscoveryError(f"cannot open {path}: {error}; delete the folder, and build again") from error
        (self.id,) = self._connection.execute("SELECT id FROM about").fetchone()

    def _open(self, path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_TABLES)
        connection.execute("BEGIN IMMEDIATE")
        about = connection.execute("SELECT version FROM about").fetchone()
        if about != (VERSION,):
            for table in ("about", "part", "drift"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            connection.execute("INSERT INTO about (id, version) VALUES (?, ?)", (uuid.uuid4().hex, VERSION))
        connection.execute("COMMIT")
        return connection

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    @property
    def position(self) -> Position | None:
        """The position up to which everything counts; None before the first commit."""
        row = self._connection.execute("SELECT incarnation, seq, change FROM about").fetchone()
        return None if row[0] is None else Position(*row)

    @property
    def baseline(self) -> int | None:
        """When the store was first complete (µs since the Unix epoch): what is new later is drift. None before."""
        (at,) = self._connection.execute("SELECT baseline FROM about").fetchone()
        return None if at is None else int(at)

    def part(self, part: Part) -> State:
        """Return the state of a part, an empty one where there is none."""
        row = self._connection.execute("SELECT state FROM part WHERE doc_type = ? AND date = ?", part).fetchone()
        return State() if row is None else State.unpack(row[0])

    def parts(self) -> dict[Part, State]:
        """Return all parts."""
        rows = self._connection.execute("SELECT doc_type, date, state FROM part ORDER BY doc_type, date").fetchall()
        return {Part(doc_type, date): State.unpack(state) for doc_type, date, state in rows}

    def snapshot(self) -> tuple[dict[Part, State], Position | None]:
        """Return all parts, and the position that they are of, as they are at one moment."""
        self._connection.execute("BEGIN")
        try:
            return self.parts(), self.position
        finally:
            self._connection.execute("COMMIT")

    def commit(self, position: Position, parts: Mapping[Part, State], *, starts_over: bool = False) -> None:
        """Replace parts, and move to a position, in one transaction; a part without lines is forgotten.

        Args:
            starts_over: whether all other parts are forgotten.
        """
        packed = [(*part, state.pack()) for part, state in parts.items() if state.lines]
        empty = [part for part, state in parts.items() if not state.lines]
        with self._transaction() as connection:
            if starts_over:
                connection.execute("DELETE FROM part")
            connection.executemany("DELETE FROM part WHERE doc_type = ? AND date = ?", empty)
            connection.executemany("INSERT OR REPLACE INTO part VALUES (?, ?, ?)", packed)
            connection.execute("UPDATE about SET incarnation = ?, seq = ?, change = ?", position)

    def notice(self, drifts: Iterable[Drift], now: int) -> list[Drift]:
        """Record what is new, each once; return what was not known before.

        The first time that there is anything, everything is the baseline, and nothing of it is returned.

        Args:
            now: µs since the Unix epoch.
        """
        with self._transaction() as connection:
            is_baseline = self.baseline is None
            rows = [(drift, (*drift.key, drift.verdict, drift.example.ts, drift.example.name)) for drift in drifts]
            query = "INSERT OR IGNORE INTO drift VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            new = [drift for drift, row in rows if connection.execute(query, (*row, now, is_baseline)).rowcount]
            if is_baseline and rows:
                connection.execute("UPDATE about SET baseline = ?", (now,))
        return [] if is_baseline else new

    def noticed(self, since: int | None = None) -> list[Drift]:
        """Return what is new, the oldest example first.

        Args:
            since: only what has its first example from then on (µs since the Unix epoch), the baseline included;
                None: what is new since the baseline.
        """
        which, values = ("is_baseline = 0", ()) if since is None else ("ts >= ?", (since,))
        rows = self._connection.execute(
            f"SELECT kind, event, path, detail, verdict, ts, example FROM drift WHERE {which}"  # noqa: S608
            " ORDER BY ts, kind, event, path, detail",
            values,
        ).fetchall()
        return [
            Drift(kind, event, path, detail, verdict, Place(ts, name))
            for kind, event, path, detail, verdict, ts, name in rows
        ]

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection)


class _Transaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")
