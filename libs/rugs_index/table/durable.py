"""The files of a table made durable: LanceDB writes each once, and the system may keep it in memory for a while."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from rugs_core.files import fsync_folder


class Synced:
    """The files of a folder that are known to be durable. Those that were there before count as not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: set[str] = set()

    def sync(self) -> None:
        """Make durable what is new since the last call: files and their names. What is gone meanwhile is left out."""
        there: set[str] = set()
        for where, folders, files in os.walk(self._folder):
            inside = {os.path.join(where, name): name in files for name in (*folders, *files)}  # noqa: PTH118 - many
            new = inside.keys() - self._known
            with suppress(FileNotFoundError):
                for path in new:
                    if inside[path]:
                        _fsync(path)
                if new:
                    fsync_folder(Path(where))
            there |= inside.keys()
        self._known = there


def _fsync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
