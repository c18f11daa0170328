"""The schema version of a lake: checked before it is used, and brought up where that is harmless.

A new nullable column (minor version) is added to the catalog; files stay as they are,
and views and DuckLake alike read it as null from them (views compute the owner instead). Anything else is a new major
version, and needs `rugs migrate`.
"""

from __future__ import annotations

from typing import Final

import orjson

from rugs_core.locks import try_lock
from rugs_lake.errors import LakeIncompatibleError, LakeUnavailableError
from rugs_lake.store import changes, derived_ids, owners, positions, version_file
from rugs_lake.store.catalog import DUCKLAKE_VERSION, TABLE_ID, Catalog, begin_columns
from rugs_lake.store.commit import MIGRATED, insert_snapshot
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.schema import COLUMNS, SCHEMA_VERSION, Column, parse_version

_LIVE_COLUMN: Final = "SELECT 1 FROM ducklake_column WHERE column_name = ? AND end_snapshot IS NULL"
_VERSIONS: Final = (
    "SELECT DISTINCT schema_version FROM ducklake_data_file JOIN rugs_file USING (data_file_id)"
    " WHERE end_snapshot IS NULL UNION SELECT scope FROM rugs_change WHERE kind = ?"
)


def bring_up(catalog: Catalog) -> None:
    """Bring a lake to the schema version of this program.

    Raises:
        LakeIncompatibleError: if a newer program wrote it, or a migration is needed.
        LakeUnavailableError: if that migration is running.
    """
    check_writable(catalog)
    derived_ids.begin(catalog)
    changes.begin(catalog)
    owners.begin(catalog)
    positions.begin(catalog)
    found = _columns(catalog)
    missing = [column for column in COLUMNS if column.name not in found]
    if missing:
        _add_columns(catalog, missing)
    if _told(catalog) != SCHEMA_VERSION:
        write_version(catalog)


def check_readable(catalog: Catalog) -> None:
    """Check that the lake has the major schema version of this program.

    Raises:
        LakeIncompatibleError: if a newer program wrote it, or a migration is needed.
        LakeUnavailableError: if that migration is running.
    """
    version = lake_version(catalog)
    if version is None or is_readable(version):
        return
    if parse_version(version) > parse_version(SCHEMA_VERSION):
        raise _newer(version)
    told = f"this lake has schema version {version}, this program {SCHEMA_VERSION}"
    if _is_migrating(catalog.paths):
        raise LakeUnavailableError(f"{told}: its migration is running, wait for its end")
    raise LakeIncompatibleError(f"{told}: run `rugs migrate`")


def check_writable(catalog: Catalog) -> None:
    """Check that the lake may be written by this program: it would lose what columns it does not know hold.

    Raises:
        LakeIncompatibleError: if a newer program wrote it, or a migration is needed.
        LakeUnavailableError: if that migration is running.
    """
    check_readable(catalog)
    known = {column.name: column.ducklake for column in COLUMNS}
    if any(known.get(name) != type_ for name, type_ in _columns(catalog).items()):
        raise _newer(lake_version(catalog))


def is_readable(version: str) -> bool:
    """Whether this program understands files of a schema version."""
    return parse_version(version)[0] == parse_version(SCHEMA_VERSION)[0]


def lake_version(catalog: Catalog) -> str | None:
    """Return the schema version of a lake: the newest of its files; None where nobody has written it yet."""
    versions = [version for (version,) in catalog.all(_VERSIONS, MIGRATED)]
    return max(versions, key=parse_version) if versions else _told(catalog)


def write_version(catalog: Catalog) -> None:
    """Write `manifests/schema_version.json`, for people and for a lake without files."""
    version_file.write(catalog.paths, schema_version=SCHEMA_VERSION, ducklake=DUCKLAKE_VERSION)


def _is_migrating(paths: LakePaths) -> bool:
    try:
        with paths.migration_lock.open("rb") as file:
            return not try_lock(file, shared=True)
    except OSError:
        return False


def _newer(version: str | None) -> LakeIncompatibleError:
    return LakeIncompatibleError(
        f"this lake was written by a newer program (schema version {version}): update this one"
    )


def _told(catalog: Catalog) -> str | None:
    """Return the schema version that `manifests/schema_version.json` tells, None if it is not there."""
    try:
        return str(orjson.loads(catalog.paths.schema_version.read_bytes())["schema_version"])
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, LookupError, TypeError) as error:
        raise LakeIncompatibleError(
            f"{catalog.paths.schema_version} cannot be read: {error}; delete it, it is made anew"
        ) from error


def _columns(catalog: Catalog) -> dict[str, str]:
    return dict(catalog.all("SELECT column_name, column_type FROM ducklake_column WHERE end_snapshot IS NULL"))


def _add_columns(catalog: Catalog, columns: list[Column]) -> None:
    with catalog.transaction() as connection:
        if connection.execute(_LIVE_COLUMN, (columns[0].name,)).fetchone() is not None:
            return  # another process, started at the same moment, was faster
        snapshot = insert_snapshot(
            connection, 0, f"altered_table:{TABLE_ID}", {"added": [column.name for column in columns]}, new_schema=True
        )
        begin_columns(connection, snapshot, columns)
