"""Asking the lake beside everything else: in a thread, patiently, and never for ever."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import duckdb
import structlog

from rugs_bus.patience import stopped_within
from rugs_capture.derivation.stored import StoredEvents
from rugs_lake import LakeError
from rugs_proto.reasons import one_line

RETRY_SECONDS: Final = 0.5
_TRIES: Final = 60
"""How often a lake that cannot be read is tried before derivation goes on without."""

_T = TypeVar("_T")

log = structlog.get_logger(__name__)


class Lake:
    """The lake under a data root, whether there is one or not; `trouble` says why it cannot be read now."""

    def __init__(self, root: Path, stop: asyncio.Event) -> None:
        self.trouble: str | None = None
        self._root = root
        self._stop = stop

    async def ask(self, read: Callable[[StoredEvents], _T]) -> _T | None:
        """Return what `read` returns; None where there is no lake, or it cannot be read for long."""

        def asked() -> _T:
            with StoredEvents(self._root) as stored:
                return read(stored)

        for _ in range(_TRIES):
            try:
                found = await asyncio.to_thread(asked)
            except LakeError as error:
                log.info("no lake to read from", reason=str(error))
                return None
            except (OSError, sqlite3.Error, duckdb.Error) as error:
                reason = f"cannot read the lake: {one_line(error)}"
                if self.trouble != reason:
                    log.warning(reason)
                self.trouble = reason
            else:
                self.trouble = None
                return found
            if await stopped_within(self._stop, RETRY_SECONDS):
                return None
        log.error("going on without what the lake holds: `rugs derive` makes up for it", reason=self.trouble)
        self.trouble = None
        return None
