"""Files that no snapshot names: what a killed writer or compaction left behind.

They are moved aside, never deleted, under the catalog's write lock: nobody can be
between writing a file and committing it without noticing, because a commit looks its
files up once more inside that lock.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from rugs_core.files import fsync_folder, make_folder
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.cursor import Cursor, check_unmoved
from rugs_lake.store.parquet import DataFile
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.staging import staged


def orphans(catalog: Catalog) -> list[str]:
    """Return files that nobody knows of, relative to the data folder: no snapshot, no deletion and no migration."""
    on_disk = catalog.paths.data_files()
    named = {
        row[0]
        for row in catalog.connection.execute(
            "SELECT path FROM ducklake_data_file UNION ALL SELECT path FROM ducklake_files_scheduled_for_deletion"
        )
    }
    return sorted(on_disk - named - {each.file.path for each in staged(catalog)})


def discard(catalog: Catalog, files: Iterable[DataFile]) -> None:
    """Delete files whose commit was refused; never one that the catalog names after all."""
    for file in files:
        if catalog.one("SELECT 1 FROM ducklake_data_file WHERE path = ?", file.path) is None:
            (catalog.paths.data / file.path).unlink(missing_ok=True)


def sweep(catalog: Catalog, cursor: Cursor) -> list[Path]:
    """Move orphans aside, and delete unfinished files; return where the orphans went.

    Raises:
        SupersededError: if `cursor` is not the current epoch's: only its holder may.
    """
    moved = []
    with catalog.transaction() as connection:
        check_unmoved(connection, cursor)
        for path in catalog.paths.temporary_files():
            path.unlink(missing_ok=True)
        for name in orphans(catalog):
            with suppress(FileNotFoundError):  # its maker, refused, has just deleted it
                moved.append(move_aside(catalog.paths, name))
    return moved


def move_aside(paths: LakePaths, name: str) -> Path:
    """Move a file out of the data folder, durably; return where.

    Raises:
        FileNotFoundError: if it is not there.
    """
    aside = paths.orphans / f"{time.time_ns() // 1_000_000}" / name
    make_folder(aside.parent)  # first: a name in a folder that is lost is lost with it
    source = paths.data / name
    source.rename(aside)
    fsync_folder(aside.parent)
    fsync_folder(source.parent)
    return aside
