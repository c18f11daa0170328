"""The live table, for readers: opened again when a rebuild has replaced it."""

from __future__ import annotations

import os
from pathlib import Path

from rugs_index.table.errors import IndexAbsentError
from rugs_index.table.identity import IndexIdentity
from rugs_index.table.paths import IndexPaths
from rugs_index.table.store import IndexStore


class LiveIndex:
    """The table that is live, whichever that is now. Any thread may ask for it."""

    def __init__(self, root: Path, wanted: IndexIdentity | None = None) -> None:
        """Nothing is opened yet.

        Args:
            root: the data root.
            wanted: with what this program would build the table; None: whatever it was built with.
        """
        self._paths = IndexPaths(root)
        self._wanted = wanted
        self._open: tuple[tuple[int, int], IndexStore] | None = None

    def store(self) -> IndexStore:
        """Return the live table, open; it is one call of the system where nothing has changed.

        Raises:
            IndexAbsentError: if there is none.
            IndexIncompatibleError: if it was built with something else.
            IndexDamagedError: if it is not whole.
        """
        try:
            told = os.stat(self._paths.current_file)  # noqa: PTH116 - for every search
        except OSError as error:
            self._open = None
            raise IndexAbsentError(f"there is no index in {self._paths.root}: run `rugs index update`") from error
        mark = told.st_ino, told.st_mtime_ns
        if self._open is None or self._open[0] != mark:
            self._open = mark, IndexStore.open(self._paths.root, self._wanted)
        return self._open[1]
