"""Checkpoints: how far each follower of the lake has come, kept in the catalog itself.

A checkpoint names the store that it is true of. A follower commits to its store first: killed before the checkpoint is
saved, it repeats some work. A catalog that was restored from a backup brings the checkpoints of its time along.
"""

from __future__ import annotations

from pathlib import Path

from rugs_lake.errors import told_apart
from rugs_lake.store import positions
from rugs_lake.store.catalog import Catalog, reading_catalog
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.positions import Position


def load(root: Path, name: str, store: str) -> Position | None:
    """Return the checkpoint of a follower; None if it has none for this store.

    Args:
        name: of the follower; one that follows several streams has a name for each.
        store: id of the store in which the follower keeps its results; a store that is made anew has another.

    Raises:
        LakeAbsentError: if there is no lake.
        LakeUnavailableError: if it cannot be read now.
    """
    with reading_catalog(root) as catalog:
        if not positions.is_there(catalog.connection):
            return None
        query = "SELECT incarnation, seq, change FROM rugs_follower WHERE name = ? AND store = ?"
        found = catalog.one(query, name, store)
    return None if found is None else Position(*found)


def save(root: Path, name: str, store: str, position: Position) -> None:
    """Save the checkpoint of a follower, durably; the arguments are those of `load`.

    Raises:
        LakeAbsentError: if there is no lake.
        LakeUnavailableError: if it cannot be written now.
    """
    with told_apart(f"cannot save the checkpoint of {name}"), Catalog(LakePaths(root)) as catalog:
        positions.begin(catalog)
        with catalog.transaction() as connection:
            row = (name, store, *position)
            connection.execute("INSERT OR REPLACE INTO rugs_follower VALUES (?, ?, ?, ?, ?)", row)
