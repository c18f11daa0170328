"""How the index of a data root is doing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from rugs_discovery.current import end_of
from rugs_index.documents import Documents
from rugs_index.indexing import FOLLOWER
from rugs_index.table import schema
from rugs_index.table.errors import IndexDamagedError
from rugs_index.table.paths import IndexPaths
from rugs_index.table.store import IndexStore
from rugs_lake import LakeAbsentError
from rugs_lake.store import checkpoint_file


def status(root: Path) -> dict[str, Any]:
    """Return how the live table is doing: what it was built with, what it holds, and whether it is behind the lake.

    Raises:
        IndexAbsentError: if there is none.
        IndexDamagedError: if it is not whole.
        LakeUnavailableError, LakeIncompatibleError: if the lake cannot be read.
    """
    paths = IndexPaths(root)
    with IndexStore.open(root) as store:
        kinds: Counter[str] = Counter()
        skipped: Counter[str] = Counter()
        for batch in store.batches(["kind", schema.SKIPPED]):
            kinds.update(kind or "?" for kind in batch.column("kind").to_pylist())
            skipped.update(reason for reason in batch.column(schema.SKIPPED).to_pylist() if reason)
        identity = store.identity.as_dict()
        position = checkpoint_file.load(root, FOLLOWER, store.id)
        indexes = store.indexes()
    try:
        end = end_of(root)
    except LakeAbsentError:
        end = None
    return {
        "chunks": kinds.total(),
        "kinds": dict(sorted(kinds.items())),
        "skipped": dict(skipped.most_common()),
        "identity": identity,
        "position": None if position is None else position._asdict(),
        "lake": None if end is None else end._asdict(),
        "is_behind": position is None or (end is not None and not end.is_within(position)),
        "indexes": indexes,
        "documents": [str(folder) for folder in Documents(paths.folder).folders()],
        "bytes": _size(paths.folder),
    }


def _size(folder: Path) -> int:
    try:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    except OSError as error:
        raise IndexDamagedError(f"{folder} cannot be read: {error.strerror}") from error
