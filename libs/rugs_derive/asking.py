"""Asking the lake beside everything else: in a thread, again and again while it cannot be read."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, TypeVar

import duckdb
import structlog

from rugs_core.patience import Patience
from rugs_derive.stored import StoredEvents
from rugs_lake import LakeAbsentError, LakeError

RETRY_SECONDS: Final = 0.5
_PASSING: Final = (LakeError, OSError, sqlite3.Error, duckdb.Error)

_T = TypeVar("_T")

log = structlog.get_logger(__name__)


class Lake:
    """The lake under a data root, whether there is one or not.

    One that cannot be read is not taken for empty: what it holds would be left out for good.
    """

    def __init__(self, root: Path, stop: asyncio.Event) -> None:
        self._root = root
        self._patience = Patience(stop, _PASSING, RETRY_SECONDS)

    @property
    def trouble(self) -> str | None:
        """Why the lake cannot be read now; it is tried again."""
        return self._patience.trouble

    async def ask(
        self,
        read: Callable[[StoredEvents], _T],
        *,
        sessions: Collection[tuple[str, str]] | None = None,
        above: tuple[str, int] | None = None,
    ) -> _T | None:
        """Return what `read` returns; None where there is no lake. `sessions` and `above` say what it will ask.

        Raises:
            GivenUpError: if told to stop while the lake cannot be read.
        """

        def asked() -> _T | None:
            try:
                stored = StoredEvents(self._root, sessions=sessions, above=above)
            except LakeAbsentError as error:
                log.info("no lake to read from", reason=str(error))
                return None
            with stored:
                return read(stored)

        return await self._patience.until_done("cannot read the lake", lambda: asyncio.to_thread(asked))
