"""A small follower of the lake: counts and a digest of each game and each session, in an SQLite database of its own."""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from rugs_core.time import to_us
from rugs_lake.read.files import FilesGoneError, list_files
from rugs_lake.read.pieces import Piece, Wanted, next_piece
from rugs_lake.read.pruning import ALL, Conditions
from rugs_lake.store import checkpoints, parquet
from rugs_lake.store.positions import Position

NAME: Final = "small"
COLUMNS: Final = ("id", "source", "session_id", "game_id", "doc_type", "ts", "event", "price", "phase")

Scope = tuple[str, str]
"""`game` and its id, or `session` and source/session."""
Figures = dict[Scope, tuple[int, str]]
"""Rows of each scope, and a digest of them that does not depend on their order."""


def scopes_of(row: dict[str, Any]) -> list[Scope]:
    """Return the scopes that a row belongs to."""
    session = ("session", f"{row['source']}/{row['session_id']}")
    return [session] if row["game_id"] is None else [session, ("game", row["game_id"])]


def figures(rows: Iterable[dict[str, Any]]) -> Figures:
    """Return the figures of all scopes of some rows."""
    counts: dict[Scope, int] = defaultdict(int)
    digests: dict[Scope, int] = defaultdict(int)
    for row in rows:
        told = [to_us(value) if name == "ts" else value for name, value in sorted(row.items())]
        digest = int.from_bytes(hashlib.blake2b(repr(told).encode(), digest_size=8).digest())
        for scope in scopes_of(row):
            counts[scope] += 1
            digests[scope] = (digests[scope] + digest) % 2**64
    return {scope: (count, f"{digests[scope]:016x}") for scope, count in counts.items()}


class Store:
    """What the follower knows of each scope. A store that is made anew has another id."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA synchronous = OFF")
        self.connection.execute("CREATE TABLE IF NOT EXISTS store (id TEXT)")
        self.connection.execute(
            "CREATE TABLE IF NOT EXISTS scope (kind TEXT, key TEXT, rows INTEGER, digest TEXT, PRIMARY KEY (kind, key))"
        )
        if self.connection.execute("SELECT id FROM store").fetchone() is None:
            self.connection.execute("INSERT INTO store VALUES (?)", (uuid.uuid4().hex,))
        (self.id,) = self.connection.execute("SELECT id FROM store").fetchone()

    def replace(self, dirty: Iterable[Scope], new: Figures) -> None:
        """Replace what is known of the dirty scopes, in one commit."""
        self.connection.execute("BEGIN")
        self.connection.executemany("DELETE FROM scope WHERE kind = ? AND key = ?", dirty)
        rows = [(*scope, *new[scope]) for scope in dirty if scope in new]
        self.connection.executemany("INSERT INTO scope VALUES (?, ?, ?, ?)", rows)
        self.connection.execute("COMMIT")

    def clear(self) -> None:
        """Forget everything."""
        self.connection.execute("DELETE FROM scope")

    def figures(self) -> Figures:
        """Return what is known."""
        rows = self.connection.execute("SELECT kind, key, rows, digest FROM scope").fetchall()
        return {(kind, key): (count, digest) for kind, key, count, digest in rows}


class SmallFollower:
    """Follows the lake under `root`, a step at a time; dropped at any step, another goes on where it was."""

    def __init__(self, root: Path, path: Path, *, rows: int = 65_536) -> None:
        self.root = root
        self.store = Store(path)
        self.position: Position | None = checkpoints.load(root, NAME, self.store.id)
        self.wanted = Wanted(columns=("source", "session_id", "game_id"), rows=rows)

    def steps(self) -> Iterator[str]:
        """Do one step after the other until there is nothing more to do; give the name of each that is done."""
        while (piece := self._next_piece()) is not None:
            yield "read"
            if piece.starts_over:
                self.store.clear()
            else:
                dirty = sorted(dirty_scopes(piece))
                new = self._compute(dirty)
                yield "computed"
                self.store.replace(dirty, new)
            yield "stored"
            checkpoints.save(self.root, NAME, self.store.id, piece.position)
            self.position = piece.position
            yield "saved"

    def run(self) -> Figures:
        """Follow until there is nothing more; return what is known then."""
        for _ in self.steps():
            pass
        return self.store.figures()

    def _next_piece(self) -> Piece | None:
        while True:
            try:
                return next_piece(self.root, self.position, self.wanted)
            except FilesGoneError:
                continue

    def _compute(self, dirty: Iterable[Scope]) -> Figures:
        games = [key for kind, key in dirty if kind == "game"]
        sessions = [(source, session) for kind, key in dirty if kind == "session" for source, session in [_split(key)]]
        rows = {row["id"]: row for row in read_rows(self.root, Conditions(sessions=sessions))}
        if games:
            rows |= {row["id"]: row for row in read_rows(self.root, Conditions(games=games))}
        return {scope: known for scope, known in figures(rows.values()).items() if scope in dirty}


def _split(key: str) -> tuple[str, str]:
    source, _, session = key.partition("/")
    return source, session


def dirty_scopes(piece: Piece) -> set[Scope]:
    """Return the scopes that a piece has rows of, or changed rows of."""
    rows = pa.table({}) if piece.rows is None else piece.rows
    dirty = {scope for row in rows.to_pylist() for scope in scopes_of(row)}
    for change in piece.changes:
        assert change.touched is not None
        dirty |= {("game", game) for game in change.touched.games}
        dirty |= {("session", f"{source}/{session}") for source, session in change.touched.sessions}
    return dirty


def read_rows(root: Path, asked: Conditions = ALL) -> list[dict[str, Any]]:
    """Return the rows of all files that may hold what is asked for; again, if the files go meanwhile."""
    while True:
        try:
            _, files = list_files(root, asked=asked)
            return [row for file in files for row in parquet.read(Path(file), list(COLUMNS)).to_pylist()]
        except FileNotFoundError:
            continue
