"""Checkpoints of a follower whose store can be built beside the live one: in a file that names each store.

The file is `manifests/NAME_checkpoint.json`. A checkpoint is true of the store that it names, as in the catalog.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rugs_core.files import write_durably
from rugs_core.locks import lock
from rugs_lake.errors import LakeAbsentError
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.positions import Position


def load(root: Path, name: str, store: str) -> Position | None:
    """Return the checkpoint of a follower; None if it has none for this store.

    Args:
        name: of the follower.
        store: id of the store in which the follower keeps its results.

    Raises:
        OSError: if it cannot be read now.
    """
    told = _read(_path(root, name)).get(store)
    try:
        return None if told is None else Position(**{key: int(told[key]) for key in Position._fields})
    except (LookupError, TypeError, ValueError):
        return None


def save(root: Path, name: str, store: str, position: Position, *, stores: Collection[str] = ()) -> None:
    """Save the checkpoint of a follower, durably.

    Args:
        stores: other stores that are still there: their checkpoints are kept, all others are forgotten.

    Raises:
        LakeAbsentError: if there is no lake.
        OSError: if it cannot be written now.
    """
    path = _path(root, name)
    if not path.parent.is_dir():
        raise LakeAbsentError(f"there is no lake in {root}")
    with (path.parent / f".{name}.lock").open("a") as file:
        lock(file)
        kept = {key: told for key, told in _read(path).items() if key in stores}
        write_durably(path, json.dumps({**kept, store: position._asdict()}, indent=2).encode() + b"\n")


def _path(root: Path, name: str) -> Path:
    return LakePaths(root).manifests / f"{name}_checkpoint.json"


def _read(path: Path) -> dict[str, Any]:
    """Return what the file says; nothing where there is none, or it is damaged: the follower then starts over."""
    try:
        told = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
