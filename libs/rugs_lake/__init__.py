"""The lake: Parquet files and the catalog that says which of them count.

`open()` reads it; `rugs_lake.write.writer` is what the parquet-writer runs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
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
    doc_types: Collection[str] | None = None,
    dates: tuple[dt.date | None, dt.date | None] | None = None,
    games: Collection[str] | None = None,
    sessions: Collection[tuple[str, str]] | None = None,
    above: tuple[str, int] | None = None,
) -> Lake:
    """Open the lake under a data root (default `RUGS_DATA_DIR`, else ~/rugs_data) at one snapshot.

    `doc_types`, `dates`, `games`, `sessions` and `above` say which rows will be asked for. The lake then leaves out
    each file that the catalog knows to hold none of them, before DuckDB opens it. The views are not filtered by row:
    they hold all rows of the remaining files. A query with the same conditions has the same answer as over the whole
    lake; a query without them may not.

    Args:
        at_snapshot: an older snapshot, by number.
        at_time: the snapshot that was the newest at that time; naive times are UTC.
        sandbox: queries can read the lake's files and nothing else.
        doc_types: doc types.
        dates: first and last date (UTC, both included); None: no end.
        games: game ids.
        sessions: sessions, each as (source, session id).
        above: (incarnation, stream sequence): rows of this incarnation above this sequence.

    Raises:
        TypeError: if one text is given where a collection of texts belongs.
        LakeAbsentError: if there is no lake.
        LakeUnavailableError: if it cannot be read now.
        LakeIncompatibleError: if this program cannot read it.
        LakeError: if there is no such snapshot any more.
    """
    from rugs_lake.read.pruning import Conditions
    from rugs_lake.read.reader import Lake  # DuckDB is for those who read: the writer does without

    asked = Conditions(doc_types, dates, games, sessions, above)
    return Lake(data_root(root), at_snapshot=at_snapshot, at_time=at_time, sandbox=sandbox, asked=asked)


__all__ = ["LakeAbsentError", "LakeError", "LakeIncompatibleError", "LakeUnavailableError", "data_root", "open"]
