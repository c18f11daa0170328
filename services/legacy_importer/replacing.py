"""`rugs import --replace`: what is stored of a file becomes what its reader says today."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rugs_lake.maintain.corrections import Corrections
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.change_scope import ChangeScope
from rugs_lake.store.paths import LakePaths
from rugs_legacy.batches import Message
from rugs_legacy.envelopes import SOURCE

IMPORTED: Final = "imported"
"""The kind of the change."""


class Replacing:
    """Gathers the rows of files. To be used in a `with` statement."""

    def __init__(self) -> None:
        self._corrections = Corrections()
        self._sessions: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        self._corrections.__enter__()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._corrections.__exit__(*error)

    def add(self, message: Message) -> None:
        """Gather the rows of a message."""
        self._sessions.add((SOURCE, message.session_id))
        self._corrections.add(message.body)

    def apply(self, root: Path) -> int:
        """Rewrite the stored rows that differ, in one change; return how many did.

        Raises:
            LakeError: if the lake cannot be written, or a file of it is damaged.
        """
        with Catalog(LakePaths(root)) as catalog:
            scope = ChangeScope(imported=True)
            return self._corrections.apply(catalog, IMPORTED, scope, sessions=self._sessions).rows
