"""Where the lake lies under the data root. No other room knows these names."""

from __future__ import annotations

import datetime as dt
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rugs_core.files import TEMPORARY_PREFIX, fsync_folder, make_folder
from rugs_core.time import EPOCH_DAY


def data_root(root: Path | str | None = None) -> Path:
    """Return the data root: as given, else `RUGS_DATA_DIR`, else ~/rugs_data."""
    return Path(root or os.environ.get("RUGS_DATA_DIR") or Path.home() / "rugs_data").expanduser()


@dataclass(frozen=True)
class LakePaths:
    """The lake's folders and files under one data root."""

    root: Path

    @property
    def data(self) -> Path:
        """Folder of the Parquet files."""
        return self.root / "events_parquet"

    @property
    def manifests(self) -> Path:
        """Folder of the catalog, checkpoints and reports."""
        return self.root / "manifests"

    @property
    def catalog(self) -> Path:
        """The DuckLake catalog, an SQLite database."""
        return self.manifests / "lake.sqlite"

    @property
    def schema_version(self) -> Path:
        """The schema version that the files were written with."""
        return self.manifests / "schema_version.json"

    @property
    def state(self) -> Path:
        """Where processes keep what they need while they run."""
        return self.root / "state"

    @property
    def migration_lock(self) -> Path:
        """Locked while a migration runs."""
        return self.state / "migrate.lock"

    @property
    def orphans(self) -> Path:
        """Where `rugs verify --repair` moves files that no snapshot names."""
        return self.manifests / "orphans"

    def create(self) -> None:
        """Make the folders, durably.

        Raises:
            OSError: if the data root cannot be written.
        """
        for folder in (self.data, self.manifests):
            make_folder(folder)
        for folder in (self.root, self.root.absolute().parent):  # who made it may have been killed since
            with suppress(PermissionError):  # a folder that may not be read cannot be fsynced
                fsync_folder(folder)

    def data_files(self) -> set[str]:
        """Return every Parquet file there is on disk, relative to `data`; not those still being written."""
        return {
            str(path.relative_to(self.data))
            for path in self.data.rglob("*.parquet")
            if not path.name.startswith(TEMPORARY_PREFIX)
        }

    def temporary_files(self) -> list[Path]:
        """Return files that a writer had begun; after a crash nobody finishes them."""
        return list(self.data.rglob(f"{TEMPORARY_PREFIX}*"))


def partition_folder(doc_type: str, day: int) -> str:
    """Return a partition's folder, relative to `LakePaths.data`; `day` counts from 1970-01-01."""
    return f"doc_type={doc_type}/date={EPOCH_DAY + dt.timedelta(days=day)}"
