"""The schema version of a lake: checked when a writer starts, and brought up where that is harmless.

A new nullable column (minor version) is added to the catalog; files stay as they are,
and views and DuckLake alike read it as null from them. Anything else is a new major
version, and needs `rugs migrate`.
"""

from __future__ import annotations

from typing import Final

import orjson

from rugs_lake.catalog import COLUMN_DEFAULTS, DUCKLAKE_VERSION, TABLE_ID, Catalog, LakeError
from rugs_lake.commit import insert_snapshot
from rugs_lake.paths import write_durably
from rugs_lake.schema import COLUMNS, SCHEMA_VERSION, Column, parse_version

_LIVE_COLUMN: Final = "SELECT 1 FROM ducklake_column WHERE column_name = ? AND end_snapshot IS NULL"


def bring_up(catalog: Catalog) -> None:
    """Bring a lake to the schema version of this program.

    Raises:
        LakeError: if a newer program wrote it, or a migration is needed.
    """
    told = version_of(catalog)
    if told is not None and parse_version(told)[0] != parse_version(SCHEMA_VERSION)[0]:
        raise LakeError(f"this lake has schema version {told}, this program {SCHEMA_VERSION}: run `rugs migrate`")
    with_types = catalog.all("SELECT column_name, column_type FROM ducklake_column WHERE end_snapshot IS NULL")
    found = dict(with_types)
    known = {column.name: column.ducklake for column in COLUMNS}
    if any(known.get(name) != type_ for name, type_ in found.items()):
        raise LakeError(f"this lake was written by a newer program (schema version {told}): update this one")
    missing = [column for column in COLUMNS if column.name not in found]
    if missing:
        _add_columns(catalog, missing)
    if told != SCHEMA_VERSION:
        _write_version(catalog)


def version_of(catalog: Catalog) -> str | None:
    """Return the schema version that `manifests/schema_version.json` tells, None if it is not there."""
    try:
        return str(orjson.loads(catalog.paths.schema_version.read_bytes())["schema_version"])
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, LookupError, TypeError) as error:
        raise LakeError(
            f"{catalog.paths.schema_version} cannot be read: {error}; delete it, it is made anew"
        ) from error


def _add_columns(catalog: Catalog, columns: list[Column]) -> None:
    with catalog.transaction() as connection:
        if connection.execute(_LIVE_COLUMN, (columns[0].name,)).fetchone() is not None:
            return  # another process, started at the same moment, was faster
        snapshot = insert_snapshot(
            connection, 0, f"altered_table:{TABLE_ID}", {"added": [column.name for column in columns]}, new_schema=True
        )
        connection.executemany(
            "INSERT INTO ducklake_column VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(c.field_id, snapshot, None, TABLE_ID, c.field_id, c.name, c.ducklake, *COLUMN_DEFAULTS) for c in columns],
        )
        connection.execute(
            "INSERT INTO ducklake_schema_versions"
            " SELECT snapshot_id, schema_version, ? FROM ducklake_snapshot WHERE snapshot_id = ?",
            (TABLE_ID, snapshot),
        )


def _write_version(catalog: Catalog) -> None:
    told = {"schema_version": SCHEMA_VERSION, "ducklake": DUCKLAKE_VERSION}
    write_durably(catalog.paths.schema_version, orjson.dumps(told, option=orjson.OPT_INDENT_2))
