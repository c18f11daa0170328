"""What a migration has written so far: files that no snapshot names yet, each for the live one that it will replace.

The table is there only while a migration is under way; its last transaction drops it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final, NamedTuple

import orjson

from rugs_lake.store.catalog import Catalog, has_table
from rugs_lake.store.parquet import DataFile
from rugs_lake.store.schema import SCHEMA_VERSION

_CREATE: Final = """
CREATE TABLE IF NOT EXISTS rugs_staged (
    old_file_id INTEGER PRIMARY KEY,
    schema_version TEXT NOT NULL,
    content BLOB NOT NULL,              -- digest of the rows' ids and bytes
    file TEXT NOT NULL                  -- JSON: the new file, as the catalog will describe it
)
"""


class Staged(NamedTuple):
    """A new file, the number of the live one that it will replace, and the digest of its rows' ids and bytes."""

    old_file_id: int
    file: DataFile
    content: int
    schema_version: str = SCHEMA_VERSION


def begin(catalog: Catalog) -> None:
    """Make the table, if no earlier run has."""
    catalog.connection.execute(_CREATE)


def note(catalog: Catalog, new: Staged) -> None:
    """Note a new file."""
    told = orjson.dumps(asdict(new.file)).decode()
    row = (new.old_file_id, new.schema_version, new.content.to_bytes(16, "big"), told)
    with catalog.transaction() as connection:
        connection.execute("INSERT INTO rugs_staged VALUES (?, ?, ?, ?)", row)


def staged(catalog: Catalog) -> list[Staged]:
    """Return what is written already."""
    if not has_table(catalog.connection, "rugs_staged"):
        return []
    rows = catalog.all("SELECT old_file_id, schema_version, content, file FROM rugs_staged ORDER BY old_file_id")
    return [Staged(old, _file(orjson.loads(told)), int.from_bytes(content), made) for old, made, content, told in rows]


def is_whole(catalog: Catalog, new: Staged) -> bool:
    """Whether a new file is there as it was written, for this program's schema version."""
    path = catalog.paths.data / new.file.path
    return new.schema_version == SCHEMA_VERSION and path.exists() and path.stat().st_size == new.file.size


def drop(catalog: Catalog, files: Iterable[Staged]) -> None:
    """Delete new files and forget them, in this order: what is noted but not there is written again."""
    for new in files:
        (catalog.paths.data / new.file.path).unlink(missing_ok=True)
        with catalog.transaction() as connection:
            connection.execute("DELETE FROM rugs_staged WHERE old_file_id = ?", (new.old_file_id,))


def _file(told: dict[str, Any]) -> DataFile:
    statistics = {name: tuple(ends) for name, ends in told["statistics"].items()}
    statistics["ts"] = tuple(dt.datetime.fromisoformat(end) for end in told["statistics"]["ts"])
    return DataFile(**{**told, "statistics": statistics})
