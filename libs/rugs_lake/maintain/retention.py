"""What the catalog may forget: old snapshots, and the files that only they name.

Each slice is one short transaction, so that the writer never waits long. The catalog
forgets a file first, and schedules its deletion as DuckLake does; only then is it
deleted. What a killed process had scheduled, the next one deletes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from rugs_core.files import fsync_folder
from rugs_core.time import SECOND_US, now_us
from rugs_lake.read import leases
from rugs_lake.store import faults
from rugs_lake.store.catalog import Catalog, give_back_space, snapshot_time

SLICE: Final = 200
"""Snapshots or files that one transaction takes: well under 100 ms."""


_OLD: Final = (
    "SELECT snapshot_id FROM ducklake_snapshot WHERE snapshot_time < ?1 AND snapshot_id <"  # noqa: S608 - our own text
    " (SELECT max(snapshot_id) FROM ducklake_snapshot WHERE snapshot_time < ?1)"
    f" AND snapshot_id NOT IN ({leases.HELD}) ORDER BY snapshot_id LIMIT ?2"
)


class Expired(NamedTuple):
    """How much was forgotten."""

    snapshots: int
    files: int


def expire(catalog: Catalog, *, keep_seconds: float) -> Expired:
    """Forget snapshots older than `keep_seconds`, and replaced files that none names.

    The newest is never forgotten, and none that a lease holds.
    """
    leases.begin(catalog)
    horizon = snapshot_time(now_us() - int(keep_seconds * SECOND_US))
    snapshots = files = 0
    while True:
        old = [row[0] for row in catalog.all(_OLD, horizon, SLICE)]
        if not old:
            break
        _forget_snapshots(catalog, old)
        snapshots += len(old)
    _delete_scheduled(catalog)
    while True:
        unnamed = catalog.all(
            "SELECT data_file_id FROM ducklake_data_file WHERE end_snapshot IS NOT NULL"
            " AND end_snapshot <= (SELECT min(snapshot_id) FROM ducklake_snapshot WHERE snapshot_id > 0) LIMIT ?",
            SLICE,
        )
        if not unnamed:
            give_back_space(catalog)
            return Expired(snapshots, files)
        _forget_files(catalog, [row[0] for row in unnamed])
        faults.reached("expiry_forgotten")
        _delete_scheduled(catalog)
        files += len(unnamed)


def _forget_snapshots(catalog: Catalog, snapshots: list[int]) -> None:
    with catalog.transaction() as connection:
        connection.execute("INSERT INTO rugs_announced VALUES (-1)")
        held = {snapshot for (snapshot,) in connection.execute(leases.HELD)}  # maybe since they were looked up
        forgotten = [(snapshot,) for snapshot in snapshots if snapshot not in held]
        for table in ("ducklake_snapshot", "ducklake_snapshot_changes"):
            connection.executemany(f"DELETE FROM {table} WHERE snapshot_id = ?", forgotten)  # noqa: S608


def _forget_files(catalog: Catalog, files: list[int]) -> None:
    tables = (
        *("ducklake_data_file", "ducklake_file_column_stats", "ducklake_file_partition_value"),
        *("rugs_file", "rugs_scope"),
    )
    with catalog.transaction() as connection:
        connection.executemany(
            "INSERT INTO ducklake_files_scheduled_for_deletion"
            " SELECT data_file_id, path, path_is_relative, ? FROM ducklake_data_file WHERE data_file_id = ?",
            [(snapshot_time(now_us()), file) for file in files],
        )
        for table in tables:
            connection.executemany(f"DELETE FROM {table} WHERE data_file_id = ?", [(f,) for f in files])  # noqa: S608


def _delete_scheduled(catalog: Catalog) -> None:
    scheduled = catalog.all("SELECT data_file_id, path FROM ducklake_files_scheduled_for_deletion")
    files = [catalog.paths.data / path for _, path in scheduled]
    for file in files:
        file.unlink(missing_ok=True)
    for folder in {file.parent for file in files if file.parent.is_dir()}:
        fsync_folder(folder)  # a file that came back after a power loss would be an orphan
    faults.reached("expiry_deleted")
    if scheduled:
        with catalog.transaction() as connection:
            connection.executemany(
                "DELETE FROM ducklake_files_scheduled_for_deletion WHERE data_file_id = ?",
                [(file,) for file, _ in scheduled],
            )
