"""Vectors on disk, by the hash of their text: one SQLite file for each identity of an embedder."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from rugs_core.locks import lock
from rugs_core.reasons import one_line
from rugs_index.embedders.errors import EmbeddingError

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_BUSY_SECONDS: Final = 30.0
_HASHES_IN_QUERY: Final = 10_000
_NORM_TOLERANCE: Final = 1e-3
_ITEM_BYTES: Final = 4
_PAGE_BYTES: Final = 16_384
"""Ten vectors of 384 numbers: less is left empty than in smaller pages."""
_PRIVATE: Final = 0o600
_SUFFIXES: Final = ("-wal", "-shm", "")
_TABLE: Final = "CREATE TABLE IF NOT EXISTS embedding (hash BLOB PRIMARY KEY, vector BLOB NOT NULL)"
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NOT_OURS: Final = (*_DAMAGED, sqlite3.SQLITE_ERROR)
"""What opening a file fails with that is damaged, or has other tables."""


class CacheError(EmbeddingError):
    """The cache cannot be used: its folder cannot be written, or its file is locked for too long."""


class VectorStore:
    """Vectors by hash. Threads and processes may use one file at once.

    A damaged file is set aside, with a warning, and an empty one takes its place: what was in it is computed again.
    Only its owner may read the file, for vectors give away what texts are about.

    Args:
        path: of the file; it and its folder are made.
        dimension: numbers in a vector.

    Raises:
        CacheError: if the file cannot be made.
    """

    def __init__(self, path: Path, dimension: int) -> None:
        self._path = path
        self._dimension = dimension
        self._lock = threading.Lock()
        with self._told():
            self._connection = self._open()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def load(self, hashes: Sequence[bytes], into: np.ndarray) -> np.ndarray:
        """Write the vectors of hashes into the rows of a matrix.

        Args:
            hashes: each once.
            into: float32, shape (hashes, dimension); rows of unknown hashes are left as they are.

        Returns:
            which rows are known: bool, shape (hashes,).

        Raises:
            CacheError: if the file cannot be read.
        """
        return self._doing(lambda connection: self._load(connection, hashes, into))

    def store(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Keep vectors, in one commit.

        Raises:
            CacheError: if the file cannot be written.
        """
        rows = [(key, np.asarray(vector, dtype="<f4").tobytes()) for key, vector in vectors.items()]

        def insert(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                connection.executemany("INSERT OR REPLACE INTO embedding VALUES (?, ?)", rows)

        self._doing(insert)

    def __len__(self) -> int:
        return self._doing(lambda connection: int(connection.execute("SELECT count(*) FROM embedding").fetchone()[0]))

    def _load(self, connection: sqlite3.Connection, hashes: Sequence[bytes], into: np.ndarray) -> np.ndarray:
        rows = {key: row for row, key in enumerate(hashes)}
        known = np.zeros(len(hashes), dtype=bool)
        for begin in range(0, len(hashes), _HASHES_IN_QUERY):
            some = hashes[begin : begin + _HASHES_IN_QUERY]
            marks = ",".join("?" * len(some))
            query = f"SELECT hash, vector FROM embedding WHERE hash IN ({marks})"  # noqa: S608 - question marks
            found = [(rows[key], vector) for key, vector in connection.execute(query, some) if self._is_whole(vector)]
            vectors = np.frombuffer(b"".join(vector for _, vector in found), "<f4").reshape(-1, self._dimension)
            # A damaged vector is computed again.
            with np.errstate(over="ignore", invalid="ignore"):
                is_unit = np.abs(np.einsum("ij,ij->i", vectors, vectors) - 1) <= _NORM_TOLERANCE
            chosen = np.array([row for row, _ in found], dtype=np.intp)[is_unit]
            into[chosen] = vectors[is_unit]
            known[chosen] = True
        return known

    def _is_whole(self, vector: object) -> bool:
        return isinstance(vector, bytes) and len(vector) == self._dimension * _ITEM_BYTES

    def _doing(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do something with the file; with a new one, if it is gone or turns out to be damaged."""
        with self._lock, self._told():
            if not self._is_in_place():
                self._connection.close()
                self._connection = self._open()
            try:
                return work(self._connection)
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode not in _DAMAGED:
                    raise
                self._connection.close()
                self._connection = self._open(damaged=error)
                return work(self._connection)

    def _is_in_place(self) -> bool:
        """Return whether the open file is still the one under its name: SQLite goes on with one that was deleted."""
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def _open(self, damaged: sqlite3.Error | None = None) -> sqlite3.Connection:
        """Open the file; set it aside first where it is damaged.

        Args:
            damaged: what was found in the file that was open until now.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_name(f"{self._path.name}.lock").open("ab") as held:
            lock(held)  # nobody opens what another sets aside
            if damaged is not None and self._is_in_place():
                self._set_aside(damaged)
            try:
                return self._connect()
            except sqlite3.Error as error:
                if error.sqlite_errorcode not in _NOT_OURS:
                    raise
                self._set_aside(error)
                return self._connect()

    def _connect(self) -> sqlite3.Connection:
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _PRIVATE))
        connection = sqlite3.connect(self._path, _BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_TABLE)
            connection.execute("SELECT hash, vector FROM embedding LIMIT 1").fetchone()
        except BaseException:
            connection.close()
            raise
        self._inode = self._path.stat().st_ino
        return connection

    def _set_aside(self, error: sqlite3.Error) -> None:
        aside = self._path.with_name(f"{self._path.name}.damaged-{time.time_ns()}")
        for suffix in _SUFFIXES:
            with suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).rename(aside.with_name(aside.name + suffix))
        log.warning(
            "the embedding cache %s is damaged (%s): it is now %s, and its texts are embedded again",
            self._path,
            one_line(error),
            aside.name,
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise CacheError(f"the embedding cache {self._path} cannot be used: {one_line(error)}") from error
