"""Tables on disk that are not live: of rebuilds that were killed, and replaced ones that nobody reads any more."""

from __future__ import annotations

import time
from typing import Final

from rugs_index.table.errors import IndexAbsentError, IndexBusyError, IndexDamagedError
from rugs_index.table.paths import IndexPaths

GRACE_SECONDS: Final = 600.0
"""How long a replaced table is kept, for readers that have it open."""


def remove_leftovers(paths: IndexPaths) -> int:
    """Remove the tables that are not live, unless a rebuild is running; return how many.

    Raises:
        IndexAbsentError: if the index was deleted.
    """
    try:
        with paths.alone("rebuild"):
            return remove_all_but_live(paths)
    except IndexBusyError:
        return 0


def remove_all_but_live(paths: IndexPaths) -> int:
    """Remove the tables that are not live; return how many. The caller holds the index for a rebuild."""
    try:
        current = paths.current()
    except IndexAbsentError:
        kept = set()
    except IndexDamagedError:
        return 0  # nobody knows which is the live one; the next rebuild makes it known
    else:
        kept = {current.store}
        age = time.time() - paths.current_file.stat().st_mtime
        if current.previous is not None and age < GRACE_SECONDS:
            kept.add(current.previous)
    removed = paths.stores() - kept
    for store in removed:
        paths.remove(store)
    return len(removed)
