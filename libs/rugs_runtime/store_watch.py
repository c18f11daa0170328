"""Whether our broker can write its store.

A server that could once not write a stream takes nothing more for it, and answers no
publisher, also when the disk has room again: only a new start helps.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

FULL: Final = 2 * 1024**2
"""Bytes free below which a write may have failed."""
ROOM: Final = 16 * 1024**2
"""Bytes free from which a new start is worth it."""
_FAILED: Final = re.compile(
    rb"critical write error|no space left on device|out of (?:storage|resources)", re.IGNORECASE
)


def why_full(store: Path) -> str | None:
    """Say that a broker's disk is full; None if it is not."""
    if shutil.disk_usage(store).free >= FULL:
        return None
    return f"the disk of {store} is full: the broker takes nothing until it has room"


class StoreWatch:
    """Looks at the disk and at the server's log. The log alone would not do: it is on the disk that is full."""

    def __init__(self, store: Path, log_file: Path) -> None:
        self._store = store
        self._log_file = log_file
        self._read_to = 0
        self._failed = False

    def begin(self) -> None:
        """Forget what was: a server starts now."""
        self._failed = False
        self._read_to = self._log_size()

    def has_failed(self) -> bool:
        """Whether a write has failed, or may have, since `begin`."""
        self._failed = self._failed or self._free() < FULL or self._is_logged()
        return self._failed

    def has_room(self) -> bool:
        """Whether the disk has room for a new start."""
        return self._free() >= ROOM

    def _free(self) -> int:
        return shutil.disk_usage(self._store).free

    def _log_size(self) -> int:
        return self._log_file.stat().st_size if self._log_file.exists() else 0

    def _is_logged(self) -> bool:
        size = self._log_size()
        if size == self._read_to:
            return False
        with self._log_file.open("rb") as log:
            log.seek(self._read_to if size > self._read_to else 0)  # shorter: the server began another one
            told = log.read()
        self._read_to = size
        return _FAILED.search(told) is not None
