"""Which events were removed from a lake for good: who misses one asks here before calling it lost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rugs_lake.store import changes
from rugs_lake.store.catalog import reading_catalog
from rugs_lake.store.owners import owner_of
from rugs_lake.store.refusals import Refusals
from rugs_lake.store.rows import Row
from rugs_proto import wire


class Removals:
    """The rules and tombstones of a lake as they were when this was made.

    Raises:
        LakeAbsentError: if there is no lake.
        LakeUnavailableError: if it cannot be read now.
    """

    def __init__(self, root: Path) -> None:
        self._refusals = Refusals()
        with reading_catalog(root) as catalog:
            self._tombstones = changes.tombstones(catalog)
            self._is_empty = not self._tombstones and not changes.rules(catalog)
            if not self._is_empty:
                self._refusals.refresh(catalog.connection)

    def cover(self, envelope: Mapping[str, Any]) -> bool:
        """Return whether an event was removed, or would be refused; by its own columns, as far as its owner matters."""
        if self._is_empty:
            return False
        events = wire.judge(wire.encode(dict(envelope))).events
        rows = (Row(event, 0, owner=owner_of(event.envelope)) for event in events)
        return any(row.event.digest in self._tombstones or self._refusals.refuses(row) for row in rows)
