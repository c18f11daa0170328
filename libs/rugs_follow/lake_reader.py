"""Reading the lake beside everything else: in threads, and again while it cannot be read.

Only a lake that is absent is empty. One that is unavailable is waited for: what it holds would be left out for good.
One that this program cannot read ends its reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Generic, TypeVar

import duckdb
import structlog

from rugs_core.patience import GivenUpError, Patience
from rugs_lake import LakeAbsentError, LakeError, LakeIncompatibleError, LakeUnavailableError
from rugs_lake.read import stats
from rugs_proto.subjects import EVENTS_STREAM

_L = TypeVar("_L")
_T = TypeVar("_T")

log = structlog.get_logger(__name__)


class LakeReader(Generic[_L]):
    """The lake under the data root `root`, as `open_lake` opens it: with the root, and what is asked for by name.

    `retry` must count `LakeUnavailableError` among what passes.
    """

    def __init__(
        self,
        root: Path,
        open_lake: Callable[..., AbstractContextManager[_L]],
        retry: Patience,
        stop: asyncio.Event,
    ) -> None:
        self._root = root
        self._open = open_lake
        self._retry = retry
        self._stop = stop

    async def ask(self, read: Callable[[_L], _T], **asked_for: Any) -> _T | None:
        """Return what `read` returns; None where there is no lake. `asked_for` goes to `open_lake`: it prunes.

        Raises:
            LakeIncompatibleError: if this program cannot read the lake.
            GivenUpError: if told to stop while it cannot be read.
        """

        def asked() -> _T:
            with self._open(self._root, **asked_for) as lake:
                return read(lake)

        return await self._until_done(asked)

    async def reached(self, incarnation: str) -> int:
        """Return up to which sequence of the stream's present life the lake has taken everything; 0 where none.

        Raises: what `ask` raises.
        """

        def cursor() -> int:
            known = {(each.stream, each.incarnation): each.last_seq for each in stats.cursors(self._root)}
            return known.get((EVENTS_STREAM, incarnation), 0)

        return await self._until_done(cursor) or 0

    async def stream(self, read: Callable[[_L], Iterator[_T]], **asked_for: Any) -> AsyncGenerator[_T, None]:
        """Give what `read` gives, piece by piece, of one snapshot; nothing where there is no lake.

        After an error the lake is opened again, and `read` called: it begins behind what the caller has taken. Who
        leaves early does so inside `contextlib.aclosing`.

        Raises: what `ask` raises; GivenUpError as well when told to stop between two pieces.
        """
        reading = _Reading(lambda: self._open(self._root, **asked_for), read)
        try:
            while (piece := await self._until_done(reading.next_piece)) is not None:
                yield piece
                if self._stop.is_set():
                    raise GivenUpError("told to stop while the lake is read")
        finally:
            await asyncio.to_thread(reading.close)

    async def _until_done(self, work: Callable[[], _T]) -> _T | None:
        return await self._retry.until_done("cannot read the lake", lambda: asyncio.to_thread(attempt, work))


def attempt(work: Callable[[], _T]) -> _T | None:
    """Do work that reads the lake; return None where there is none.

    Raises:
        LakeIncompatibleError: if this program cannot read it.
        LakeUnavailableError: if it cannot be read now, or files went while it was read.
    """
    try:
        return work()
    except LakeAbsentError as error:
        log.info("no lake to read from", reason=str(error))
        return None
    except (LakeIncompatibleError, LakeUnavailableError):
        raise
    except (LakeError, OSError, sqlite3.Error, duckdb.Error) as error:
        raise LakeUnavailableError(str(error)) from error


class _Reading(Generic[_L, _T]):
    """One snapshot, and how far it is read. For threads: it is not closed under one that reads."""

    def __init__(self, open_lake: Callable[[], AbstractContextManager[_L]], read: Callable[[_L], Iterator[_T]]) -> None:
        self._open = open_lake
        self._read = read
        self._lock = threading.Lock()
        self._opened = contextlib.ExitStack()
        self._pieces: Iterator[_T] | None = None

    def next_piece(self) -> _T | None:
        """Return the next piece; after an error from a new snapshot, since a generator that failed is at its end."""
        with self._lock:
            try:
                if self._pieces is None:
                    self._pieces = self._read(self._opened.enter_context(self._open()))
                return next(self._pieces, None)
            except BaseException:
                self._close()
                raise

    def close(self) -> None:
        """Close the snapshot."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._pieces = None
        self._opened.close()


def windows(count: Callable[[int, int], int], first: int, last: int, most: int) -> Iterator[tuple[int, int]]:
    """Divide the sequences `first` to `last` into windows of at most `most` events, as far as one sequence allows.

    `count` returns how many events there are between two sequences, both included. Windows without any are left out.
    """
    width = 4 * most
    while first <= last:
        end = min(first + width - 1, last)
        found = count(first, end)
        if found > most and end > first:
            size = end - first + 1
            width = max(1, min(size // 2, size * most // found))
            continue
        if found:
            yield first, end
        first = end + 1
        if found < most // 2:
            width *= 4
