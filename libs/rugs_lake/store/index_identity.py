"""What the search index was built with, in `manifests/schema_version.json`, beside the schema version of the lake."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from rugs_core.files import write_durably
from rugs_lake.store.paths import LakePaths

_KEY: Final = "index"


def write_index_identity(root: Path, identity: Mapping[str, Any]) -> None:
    """Write what the index was built with, durably. Where there is no lake, nothing is written.

    Args:
        root: the data root.
        identity: JSON values.

    Raises:
        OSError: if it cannot be written now.
    """
    path = LakePaths(root).schema_version
    told = _read(path)
    if told is not None and told.get(_KEY) != identity:
        write_durably(path, orjson.dumps({**told, _KEY: dict(identity)}, option=orjson.OPT_INDENT_2))


def read_index_identity(root: Path) -> dict[str, Any] | None:
    """Return what the index was built with; None where nobody wrote it."""
    told = (_read(LakePaths(root).schema_version) or {}).get(_KEY)
    return told if isinstance(told, dict) else None


def _read(path: Path) -> dict[str, Any] | None:
    """Return what the file says; None where there is none, or none that the lake could use."""
    try:
        told = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return told if isinstance(told, dict) else None
