"""Removing rows for good: by scope, by id, or by age."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from rugs_lake.maintain.change import Changed, count_rows, remove
from rugs_lake.maintain.retention import expire
from rugs_lake.read import leases
from rugs_lake.store import changes
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.change_scope import ChangeScope
from rugs_lake.store.changes import RETENTION, Retention

REMOVAL: Final = "removal"
"""The kind of a change that removes what somebody asked for."""

Progress = Callable[[int, int], None]


class Removed(NamedTuple):
    """What was removed, or with `dry_run` would be.

    Attributes:
        by_doc_type: rows of each doc type.
        files: how many files were replaced.
        number: of the change; 0 where nothing was to be removed, and in a dry run.
    """

    scope: ChangeScope
    by_doc_type: dict[str, int]
    files: int
    number: int = 0

    @property
    def rows(self) -> int:
        """How many rows in all."""
        return sum(self.by_doc_type.values())


def look(catalog: Catalog, scope: ChangeScope) -> Removed:
    """Return what removing a scope would remove."""
    by_doc_type, files = count_rows(catalog, scope)
    return Removed(scope, dict(sorted(by_doc_type.items())), files)


def remove_scope(catalog: Catalog, scope: ChangeScope, progress: Progress = lambda done, of: None) -> Removed:
    """Remove the rows of a scope for good.

    A scope of ids leaves a tombstone for each; any other is refused as a whole from then on.

    Raises:
        LakeError: if the lake cannot be written, or a file that may hold such rows is damaged; nothing was removed.
    """
    return _removed(scope, remove(catalog, REMOVAL, scope, refuses=scope.ids is None, progress=progress))


def apply_retention(
    catalog: Catalog, today: dt.date, policies: Iterable[Retention], progress: Progress = lambda done, of: None
) -> list[Removed]:
    """Remove what is older on a day (UTC) than its doc type is kept; older rows are refused from then on.

    Raises:
        LakeError: as `remove_scope` does; what was removed of other doc types stays removed.
    """
    scopes = [policy.scope(today) for policy in policies]
    return [_removed(scope, remove(catalog, RETENTION, scope, refuses=True, progress=progress)) for scope in scopes]


def forget_at_once(catalog: Catalog) -> None:
    """Delete old snapshots and the files that only they name now, whoever still reads them.

    A reader's next read of such a file fails with `FilesGoneError`.
    """
    leases.end_all(catalog)
    expire(catalog, keep_seconds=0)


def has_rule(catalog: Catalog, scope: ChangeScope) -> bool:
    """Return whether rows of exactly this scope are refused already."""
    return any(rule.scope == scope for rule in changes.rules(catalog))


def _removed(scope: ChangeScope, changed: Changed) -> Removed:
    return Removed(scope, dict(changed.by_doc_type), changed.files, changed.number)
