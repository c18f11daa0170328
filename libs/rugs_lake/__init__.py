"""The lake: Parquet files and the catalog that says which of them count.

`open()` reads it; `rugs_lake.write.writer` is what the parquet-writer runs.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from rugs_lake.errors import LakeAbsentError, LakeError, LakeIncompatibleError, LakeUnavailableError
from rugs_lake.store.paths import data_root

if TYPE_CHECKING:
    from rugs_lake.read.reader import Lake


def open(
    root: Path | str | None = None,
    *,
    at_snapshot: int | None = None,
    at_time: dt.datetime | None = None,
    sandbox: bool = False,
) -> Lake:
    """Open the lake under a data root (default `RUGS_DATA_DIR`, else ~/rugs_data) at one snapshot.

    Args:
        at_snapshot: an older snapshot, by number.
        at_time: the snapshot that was the newest at that time; naive times are UTC.
        sandbox: queries can read the lake's files and nothing else.

    Raises:
        LakeAbsentError: if there is no lake.
        LakeUnavailableError: if it cannot be read now.
        LakeIncompatibleError: if this program cannot read it.
        LakeError: if there is no such snapshot any more.
    """
    from rugs_lake.read.reader import Lake  # DuckDB is for those who read: the writer does without

    return Lake(data_root(root), at_snapshot=at_snapshot, at_time=at_time, sandbox=sandbox)


__all__ = ["LakeAbsentError", "LakeError", "LakeIncompatibleError", "LakeUnavailableError", "data_root", "open"]
