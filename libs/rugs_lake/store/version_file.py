"""`manifests/schema_version.json`: what wrote a data root, for people and for a lake without files.

The lake writes `schema_version` and `ducklake`; the search index adds `index`, what its table was built with.
"""

from __future__ import annotations

from typing import Any

import orjson

from rugs_core.files import write_durably
from rugs_lake.store.paths import LakePaths


def read(paths: LakePaths) -> dict[str, Any]:
    """Return what the file says; nothing where there is none, or it is damaged.

    Raises:
        OSError: if it cannot be read now.
    """
    try:
        told = orjson.loads(paths.schema_version.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return told if isinstance(told, dict) else {}


def write(paths: LakePaths, **told: Any) -> None:
    """Write some keys, durably; the others stay.

    Raises:
        OSError: if it cannot be written now.
    """
    before = read(paths)
    if before != (now := {**before, **told}):
        write_durably(paths.schema_version, orjson.dumps(now, option=orjson.OPT_INDENT_2))
